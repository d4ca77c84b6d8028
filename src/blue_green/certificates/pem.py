"""A certificate and its key in PEM: read, tried, and made ready for handshakes."""

import logging
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.system import files

logger = logging.getLogger(__name__)

HTTP1, HTTP2 = ("http/1.1",), ("h2", "http/1.1")
"""What a server speaks above TLS without HTTP/2, and with it, which it prefers (RFC 7301)."""
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""The cipher suites of TLS 1.2: those of Mozilla's "intermediate" configuration, without finite
fields (https://wiki.mozilla.org/Security/Server_Side_TLS). All of TLS 1.3 are as good. None is one
that HTTP/2 prohibits (RFC 9113 appendix A)."""
PRIORITIZE_CHACHA = 0x200000
"""SSL_OP_PRIORITIZE_CHACHA: ChaCha20 for clients that prefer it, since they have no hardware for
AES (SSL_CTX_set_options(3))."""
LARGEST_FILE = 1024 * 1024
BEGINS = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
QUICK_KEYS = (
    bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107034200"),
    bytes.fromhex("300506032b6570032100"),
)
"""How a certificate's key begins in DER, for P-256 (RFC 5480) and Ed25519 (RFC 8410)."""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (X509_VERIFY_PARAM_set_flags(3))."""


class BadCertificate(Exception):
    """The certificate and the key cannot be used; str() says which, why, and what to do."""


@frozen
class Loaded:
    """A certificate with its key, ready for handshakes."""

    contexts: "Contexts"
    names: Sequence[str]
    """The hosts and addresses that it is for; empty if clients will refuse it."""
    valid_until: datetime | None
    is_quick: bool
    """Whether a signature takes so little time (ECDSA, Ed25519) that no thread is needed."""
    valid_from: datetime | None = None

    def covers(self, host: str) -> bool:
        """Whether a name is that of the host, or has a wildcard for its first label (RFC 9525)."""
        known = {name.lower() for name in self.names}
        return host.strip("[]") in known or f"*.{host.partition('.')[2]}" in known


def load(certificate: Path, key: Path) -> Loaded:
    """The pair in these files; raise `BadCertificate`. Takes some milliseconds."""
    chain = _read("certificate", certificate)
    if "CERTIFICATE" not in BEGINS.findall(chain):
        raise BadCertificate(f"certificate: {certificate} has no certificate in PEM")
    key_text = _read("key", key)
    _check_key(key_text, key)
    return _load(chain, key_text, certificate, key)


def load_text(pem: str, about: Path) -> Loaded:
    """The pair in this text, key and chain; raise `BadCertificate`, which names `about`."""
    return _load(pem, pem, about, about)


def server_context() -> ssl.SSLContext:
    """A context without a certificate, and without protocols."""
    # Not create_default_context(), which $SSLKEYLOGFILE can make write the keys of all connections.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(":".join(CIPHERS))
    # HTTP/2 demands that there be neither compression nor renegotiation (RFC 9113 section 9.2.1).
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | PRIORITIZE_CHACHA
    context.num_tickets = 1
    return context


class Contexts:
    """The contexts with this pair, one for each choice of protocols.

    A client gets the protocols of the context of its handshake, and these must not change while a
    thread computes one. A context takes a millisecond and 17 KB, so each is made when it is needed.
    """

    __slots__ = ("_by_protocols", "_make")

    def __init__(self, chain: str, key_text: str, certificate: Path, key: Path) -> None:
        """Make the first one; raise `BadCertificate`, which names the two files."""
        self._make = partial(_context, chain, key_text, certificate, key)
        self._by_protocols: dict[tuple[str, ...], ssl.SSLContext] = {HTTP2: self._make(HTTP2)}

    def offering(self, protocols: tuple[str, ...]) -> ssl.SSLContext:
        """The context that offers `HTTP1` or `HTTP2`."""
        if (known := self._by_protocols.get(protocols)) is None:
            known = self._by_protocols[protocols] = self._make(protocols)
        return known


def _context(
    chain: str, key_text: str, certificate: Path, key: Path, protocols: tuple[str, ...]
) -> ssl.SSLContext:
    context = server_context()
    context.set_alpn_protocols(protocols)
    try:
        # What was read and checked: the files may have changed since.
        with in_memory(chain) as certificate_file, in_memory(key_text) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=_no_passphrase)
    except ssl.SSLError as error:
        raise BadCertificate(_unusable(certificate, key, error)) from None
    return context


def _load(chain: str, key_text: str, certificate: Path, key: Path) -> Loaded:
    contexts = Contexts(chain, key_text, certificate, key)
    try:
        seen = _seen_by_client(contexts.offering(HTTP2), chain)
    except ssl.SSLCertVerificationError as error:
        logger.error("clients will refuse %s: %s", certificate, error.verify_message)
        return Loaded(contexts, (), None, is_quick=False)
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificate(_unusable(certificate, key, error)) from None
    since, until = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(seen[key]), UTC)
        for key in ("notBefore", "notAfter")
    )
    if until < datetime.now(UTC):
        logger.error("clients will refuse %s: certificate has expired", certificate)
    return Loaded(contexts, _names(seen), until, is_quick(chain), since)


def _check_key(text: str, path: Path) -> None:
    kinds = BEGINS.findall(text)
    if "ENCRYPTED PRIVATE KEY" in kinds or "Proc-Type: 4,ENCRYPTED" in text:
        raise BadCertificate(
            f"key: {path} has a passphrase, and nobody can type it at start: remove it "
            f"with openssl pkey -in {path} -out NEW"
        )
    if not any(kind.endswith("PRIVATE KEY") for kind in kinds):
        raise BadCertificate(f"key: {path} has no private key in PEM")
    # As root, the app runs as another user, which should not be able to read the key.
    if os.geteuid() == 0 and files.is_readable_by_all(path):
        logger.warning("all users can read the private key: chmod o-r %s", path)


def _read(key: str, path: Path) -> str:
    """The file's content; `key` is the setting that names it."""
    try:
        return files.read_bounded(path, LARGEST_FILE).decode("latin-1")
    except files.UnfitFile as error:
        why = f"{path} is not a file with a {key} in PEM: it {error.strerror}"
        raise BadCertificate(f"{key}: {why}") from None
    except OSError as error:
        raise BadCertificate(f"{key}: {path} cannot be read: {error.strerror}") from None


@contextmanager
def in_memory(text: str) -> Iterator[str]:
    """A file with this text, for a library that takes only file names."""
    with os.fdopen(os.memfd_create("pem"), "wb", buffering=0) as file:
        file.write(text.encode("latin-1"))
        yield f"/proc/self/fd/{file.fileno()}"


def _no_passphrase() -> str:
    """Keeps OpenSSL from asking at the terminal, for kinds of encryption that we do not detect."""
    return ""


def is_quick(chain: str) -> bool:
    """Whether the key of the first certificate in PEM signs in far less than a millisecond.

    P-256 and Ed25519 take 20 to 50 microseconds, RSA with 2048 bits and P-384 a millisecond.
    """
    certificate = _first(chain)
    return any(beginning in certificate for beginning in QUICK_KEYS)


def _first(chain: str) -> bytes:
    """The first certificate of those in PEM, in DER."""
    return ssl.PEM_cert_to_DER_cert(f"{BEGIN}{chain.partition(BEGIN)[2].partition(END)[0]}{END}")


def _names(seen: dict[str, Any]) -> Sequence[str]:
    return [value for _, value in seen.get("subjectAltName", ())]


def _seen_by_client(context: ssl.SSLContext, chain: str) -> dict[str, Any]:
    """The certificate as a client sees it that trusts it; raise `SSLError` or `ValueError`.

    It may have expired: that is no reason not to serve it, and we must know when.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    client.load_verify_locations(cadata=_first(chain))
    return _handshake(client, context).getpeercert() or {}


def _handshake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> ssl.SSLObject:
    """Do a handshake of two contexts; the client's end."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up)
    server = theirs.wrap_bio(up, down, server_side=True)
    for side in (client, server) * 3:  # TLS 1.2 takes as many turns.
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


def _unusable(certificate: Path, key: Path, error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return f"key: {key} is not the key of {certificate}"
    why = reason.replace("_", " ").lower() if reason else str(error)
    return f"certificate: {certificate} with {key} cannot be used: {why}"
