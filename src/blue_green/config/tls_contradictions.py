"""Find contradictions in the settings of TLS: where the certificates of all hosts come from."""

from collections.abc import Iterator

from blue_green.config import public_hosts
from blue_green.config.place import Place
from blue_green.config.problem import Problem
from blue_green.config.process_settings import INTERNAL, TlsSettings
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import SiteTlsSettings

SECTION = "proxy.tls"
NEEDS_ACME = ("directory", "directory_root", "eab_kid", "eab_key_file", "profile")


def in_process(settings: Settings) -> Iterator[str]:
    """Problems of `[proxy.tls]`."""
    tls, key = settings.proxy.tls, settings.place.key
    if tls is None:
        return
    yield from _half_of_pair(settings.place, SECTION, tls, "certificate", "key")
    yield from _half_of_pair(settings.place, SECTION, tls, "eab_kid", "eab_key_file")
    if tls.acme is not None and tls.certificate is not None:
        yield (
            f"{key(SECTION, 'certificate')}: has no effect with acme; a site may have files of its "
            "own, in its section [tls]"
        )
    if not tls.asks_for_certificates:
        for name in NEEDS_ACME:
            if getattr(tls, name) != getattr(TlsSettings(), name):
                yield f"{key(SECTION, name)}: has no effect without a mail address in acme"


def in_site(site: SiteSettings, settings: Settings, with_files: frozenset[str]) -> Iterator[str]:
    """Problems of `[tls]`, and of hosts that would have no certificate.

    `with_files` are the hosts of all sites that have files of their own.
    """
    tls, own = settings.proxy.tls, site.tls
    yield from _half_of_pair(site.place, "tls", own, "certificate", "key")
    if tls is None:
        for name in ("certificate", "hsts"):
            if getattr(own, name):
                yield (
                    f"{site.place.key('tls', name)}: has no effect without [{SECTION}], which "
                    "makes the addresses speak TLS"
                )
    elif tls.asks_for_certificates:
        yield from _unobtainable(site, tls, with_files)
    elif tls.acme == INTERNAL:
        yield from _too_wild(site, with_files)
    elif tls.certificate or tls.key or own.certificate or own.key:
        return
    elif not with_files.issuperset(site.serving.every_host):
        yield _no_certificate(site, settings)


def _half_of_pair(
    place: Place, section: str, tls: TlsSettings | SiteTlsSettings, one: str, two: str
) -> Iterator[str]:
    for missing, other in ((two, one), (one, two)):
        if getattr(tls, missing) is None and getattr(tls, other) is not None:
            yield f"{place.key(section, missing)}: is missing, and {other} is set"


def _no_certificate(site: SiteSettings, settings: Settings) -> str:
    what_to_do = 'needs acme = "you@example.com", which gets the certificates, or the files'
    if settings.is_single:
        return f"{settings.place.key(SECTION)}: {what_to_do} certificate and key"
    return (
        f"{site.place.key('tls')}: is missing, and [{SECTION}] {what_to_do} certificate and key, "
        "there for all sites or here for this one"
    )


def between_sites(settings: Settings) -> Iterator[Problem]:
    """Hosts with two certificates. The problem is that of the second site."""
    firsts: dict[str, SiteSettings] = {}
    for site in settings.sites:
        if site.tls.certificate is None:
            continue
        for host in site.serving.every_host:
            first = firsts.setdefault(host, site)
            if (first.tls.certificate, first.tls.key) != (site.tls.certificate, site.tls.key):
                yield Problem(
                    f"{site.place.key('tls', 'certificate')}: {host} has another certificate in "
                    f"{first.place}: name the same files in both, or leave them out in one",
                    site.name,
                )


def _unobtainable(
    site: SiteSettings, tls: TlsSettings, with_files: frozenset[str]
) -> Iterator[str]:
    """Hosts for which no certificate can be obtained."""
    serving = site.serving
    for key, hosts in (("hosts", serving.hosts), ("redirect_hosts", serving.redirect_hosts)):
        others = [host for host in hosts if host not in with_files]
        found = public_hosts.unobtainable(others, from_public=public_hosts.is_asked(tls))
        for why, which in found:
            yield f"{site.place.key('', key)}: {', '.join(which)}: {why}"


def _too_wild(site: SiteSettings, with_files: frozenset[str]) -> Iterator[str]:
    """Wildcards that browsers and OpenSSL do not accept in a certificate."""
    for host in site.serving.hosts:
        if host.startswith("*.") and host.count(".") == 1 and host not in with_files:
            yield (
                f"{site.place.key('', 'hosts')}: {host}: browsers accept no wildcard directly "
                "below a top-level domain: list each host, or use names with another dot"
            )


def hosts_with_files(settings: Settings) -> frozenset[str]:
    """The hosts of sites with files of their own, which other sites may share."""
    own = (site for site in settings.sites if site.tls.certificate is not None)
    return frozenset(host for site in own for host in site.serving.every_host)
