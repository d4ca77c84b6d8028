"""What two sites must not have in common: routes, ports, webhooks, a checkout to run in."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from blue_green.config.hosts import ANY_PATH
from blue_green.config.problem import Problem
from blue_green.config.settings import SiteSettings


@frozen
class _Claim:
    """Something that only one site may have, once."""

    site: SiteSettings
    section: str
    key: str
    what: str

    @property
    def place(self) -> str:
        return self.site.place.key(self.section, self.key)


def contradictions(sites: Sequence[SiteSettings], *, is_single: bool) -> Iterator[Problem]:
    """What is claimed twice, by two sites or by one. The problem is that of the second claim."""
    claims: dict[tuple[str, ...], _Claim] = {}
    in_checkout: dict[Path, SiteSettings] = {}
    for site in sites:
        name = None if is_single else site.name
        for subject, claim in _claims(site):
            first = claims.setdefault(subject, claim)
            if first is not claim:
                yield Problem(f"{claim.place}: {_conflict(claim, first)}", name)
        # One that runs in the checkout is kept, as the one that no other goes with.
        first_site = in_checkout.get(site.git.checkout)
        if first_site is None or site.release.in_place:
            in_checkout[site.git.checkout] = site
        if first_site is not None and (first_site.release.in_place or site.release.in_place):
            yield Problem(
                f"{site.place.key('git', 'checkout')}: {site.git.checkout} is also the checkout in "
                f"{first_site.place}, and one of the two runs in it ([release] in_place)",
                name,
            )


def ports_of(site: SiteSettings) -> set[int]:
    """The ports of its backends."""
    return {port for slot in site.app.ports or () for port in slot}


def _claims(site: SiteSettings) -> Iterator[tuple[tuple[str, ...], _Claim]]:
    """What the site must have for itself, with what it has in common with another claim to it."""
    serving = site.serving
    for path in serving.paths:
        yield ("path", site.name, path), _Claim(site, "", "paths", path)
    for key, hosts in (("hosts", serving.hosts), ("redirect_hosts", serving.redirect_hosts)):
        for path in dict.fromkeys(serving.paths or (ANY_PATH,)):
            below = "" if path == ANY_PATH else f" with path {path}"
            for host in hosts:
                yield ("route", host, path), _Claim(site, "", key, f"{host}{below}")
    for port in ports_of(site):
        yield ("port", str(port)), _Claim(site, "app", "ports", str(port))
    if site.webhook.secret_file is not None:
        url = site.webhook.path
        yield ("webhook", url), _Claim(site, "webhook", "path", url)


def _conflict(claim: _Claim, first: _Claim) -> str:
    if claim.site is not first.site:
        return f"{claim.what} is also in {first.place}"
    if claim.key == first.key:
        return f"{claim.what} is listed twice"
    return f"{claim.what} is also in {first.key}"
