"""The hosts for which a public certificate authority can issue a certificate by ACME."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from blue_green.config.process_settings import TlsSettings

PRIVATE = (
    "alt", "corp", "example", "home", "home.arpa", "internal", "intranet", "invalid", "lan",
    "local", "localdomain", "localhost", "onion", "private", "test",
)  # fmt: skip
"""Domains that nobody can own (RFC 2606, RFC 6761, RFC 6762 appendix G, RFC 8375)."""


def is_public(host: str) -> bool:
    """Whether it is a name that somebody can own, or an address of the Internet."""
    try:
        return ip_address(host.strip("[]")).is_global
    except ValueError:
        labels = host.split(".")
    domains = (".".join(labels[at:]) for at in range(len(labels)))
    return len(labels) > 1 and not any(domain in PRIVATE for domain in domains)


def is_asked(tls: TlsSettings) -> bool:
    """Whether `acme` asks a public authority, and not one of a private network."""
    directory = urlsplit(tls.directory).hostname or ""
    return tls.asks_for_certificates and tls.directory_root is None and is_public(directory)


def unobtainable(hosts: Sequence[str], *, from_public: bool) -> Sequence[tuple[str, list[str]]]:
    """Why no certificate can be obtained for some of these hosts, each reason with its hosts."""
    wild = [host for host in hosts if "*" in host]
    others = [host for host in hosts if "*" not in host] if from_public else []
    private = [host for host in others if not is_public(host)]
    underscored = [host for host in others if "_" in host and host not in private]
    reasons = [(WILD, wild), (PRIVATE_HOST, private), (UNDERSCORE, underscored)]
    return [(why, found) for why, found in reasons if found]


WILD = (
    "acme obtains certificates only for exact hosts: list each of them; or get a certificate with "
    "the wildcard by a DNS challenge (certbot, lego), and name its files in [tls] certificate and "
    "key"
)
PRIVATE_HOST = (
    "a public authority issues no certificate for a host that exists only in private networks: use "
    'acme = "internal" in [proxy.tls]; or name a private authority there, with directory and '
    "directory_root; or the files of a certificate in [tls] certificate and key"
)
UNDERSCORE = "public authorities issue no certificate for a name with an underscore"
