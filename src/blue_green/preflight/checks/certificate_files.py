"""Certificates in files: whether they can be used, until when, and for which hosts."""

from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.certificates.pem import BadCertificate, Loaded, load
from blue_green.config.hosts import ANY_HOST
from blue_green.config.process_settings import TlsSettings
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import SiteTlsSettings
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned

RENEW = "renew it; if certbot or lego should have done that, see why it has not"


@frozen
class CheckedPair:
    """What was found out about a certificate and its key."""

    findings: Sequence[Finding] = ()
    loaded: Loaded | None = None
    """The certificate, if there is one that can be used."""


def check_pair(tls: TlsSettings | SiteTlsSettings | None, about: str) -> CheckedPair:
    """Check the files of these settings, if there are any."""
    if tls is None or tls.certificate is None or tls.key is None:
        return CheckedPair()
    try:
        loaded = load(tls.certificate, tls.key)
    except BadCertificate as error:
        return CheckedPair([failed(about, str(error))])
    return CheckedPair([_judge(loaded, f"{tls.certificate}", about)], loaded)


def check_hosts(site: SiteSettings, pair: CheckedPair) -> Findings:
    """Warn about hosts of a site that this certificate is not for."""
    if (loaded := pair.loaded) is None or not loaded.names:
        return
    hosts = site.serving.every_host
    if missing := [host for host in hosts if host != ANY_HOST and not loaded.covers(host)]:
        advice = "get a certificate for all hosts of all sites, or name files of this site in [tls]"
        if site.tls.certificate is not None:
            advice = "get a certificate for all hosts of this site"
        yield warned(
            "hosts",
            f"the certificate is not for {', '.join(missing)}: browsers refuse it there",
            advice,
        )


def _judge(loaded: Loaded, file: str, about: str) -> Finding:
    now = datetime.now(UTC)
    if loaded.valid_until is None:
        return failed(about, f"browsers refuse {file}", f"openssl x509 -text -in {file}")
    known = HostCertificate("", "files", loaded.valid_until, valid_from=loaded.valid_from)
    day = loaded.valid_until.date()
    match known.state(now):
        case "expired":
            return failed(about, f"{file} expired on {day}: browsers refuse it", RENEW)
        case "expiring":
            return warned(about, f"{file} expires on {day}", RENEW)
    return passed(about, f"{file} can be used, and is valid until {day}")
