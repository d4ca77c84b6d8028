"""Whether the certificate is for the hosts of the sites."""

from collections.abc import Sequence

from blue_green.certificates.pem import BadCertificate, load
from blue_green.config.hosts import ANY_HOST
from blue_green.config.settings import Settings, SiteSettings
from blue_green.preflight.checks.finding import Findings, warned


def names_in_certificate(settings: Settings) -> Sequence[str]:
    """The names in it; empty if there is none, or none that can be used."""
    tls = settings.proxy.tls
    if tls is None or tls.certificate is None or tls.key is None:
        return ()
    try:
        return load(tls.certificate, tls.key).names
    except BadCertificate:  # Another check reports it.
        return ()


def certificate_hosts(site: SiteSettings, names: Sequence[str]) -> Findings:
    """Warn about hosts of a site that the certificate with these names is not for."""
    hosts = [*site.serving.hosts, *site.serving.redirect_hosts]
    missing = [host for host in hosts if host != ANY_HOST and not _is_covered(host, names)]
    if names and missing:
        yield warned(
            "hosts",
            f"the certificate is not for {', '.join(missing)}: browsers refuse it there",
            "get a certificate for all hosts of all sites",
        )


def _is_covered(host: str, names: Sequence[str]) -> bool:
    """Whether a name is that of the host, or has a wildcard for its first label (RFC 9525)."""
    known = {name.lower() for name in names}
    return host.strip("[]") in known or f"*.{host.partition('.')[2]}" in known
