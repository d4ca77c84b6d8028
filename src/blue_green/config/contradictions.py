"""Find contradictions between settings that are valid one by one."""

from collections import Counter
from collections.abc import Iterable, Iterator

from blue_green.config import (
    common,
    placeholders,
    process_contradictions,
    static_site,
    tls_contradictions,
)
from blue_green.config.admin_paths import ADMIN_PATHS
from blue_green.config.hosts import ANY_PATH, is_exact
from blue_green.config.kinds import Endpoint
from blue_green.config.place import Place
from blue_green.config.problem import Problem
from blue_green.config.settings import Settings, SiteSettings

HOSTS = "hosts"
REDIRECT = "[proxy.tls] redirect"
SMALLEST_HEAD, LARGEST_HEAD = 1024, 16 * 2**20
MAX_ROUTES = 10_000
"""Pairs of a host and a path of one site."""


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Every problem; of two sites that contradict each other, only of the second one."""
    for text in _in_process(settings):
        yield Problem(text)
    with_files = tls_contradictions.hosts_with_files(settings)
    for site in settings.sites:
        for text in (
            *_in_site(site, settings),
            *_in_routes(site),
            *static_site.contradictions(site),
            *_of_backends(site),
            *_of_ports(site, settings),
            *process_contradictions.in_site(site),
            *tls_contradictions.in_site(site, settings, with_files),
        ):
            yield Problem(text, None if settings.is_single else site.name)
    yield from tls_contradictions.between_sites(settings)
    yield from common.contradictions(settings.sites, is_single=settings.is_single)


def _in_process(settings: Settings) -> Iterator[str]:
    proxy, admin, place = settings.proxy, settings.admin, settings.place
    yield from _shared_addresses(settings)
    yield from tls_contradictions.in_process(settings)
    if not proxy.listen:
        yield f"{place.key('proxy', 'listen')}: must have at least one address"
    if not SMALLEST_HEAD <= proxy.max_head <= LARGEST_HEAD:
        yield f"{place.key('proxy', 'max_head')}: must be at least 1KiB, and at most 16MiB"
    if admin.drain_delay and not admin.listen:
        yield f"{place.key('admin', 'drain_delay')}: has no effect without [admin] listen"


def _in_site(site: SiteSettings, settings: Settings) -> Iterator[str]:
    key, webhook = site.place.key, site.webhook
    if not site.app.command and not site.files.directories:
        yield f"{key('app', 'command')}: is missing, and [files] has no directory to serve"
    for name, meant in placeholders.misspelt(site.app.command):
        yield f"{key('app', 'command')}: {{{name}}} is unknown; did you mean {{{meant}}}?"
    if site.release.in_place and site.release.link:
        yield f"{key('release', 'link')}: has no effect with in_place = true"
    if site.swap.canary and (why := site.rules_out_two_releases):
        yield f"{key('swap', 'canary')}: needs two releases at once, which {why} rules out"
    if site.release.in_place and site.git.paths:
        yield (
            f"{key('git', 'paths')}: is impossible with in_place = true, where each commit changes "
            "the files that run"
        )
    if webhook.secret_file and not settings.admin.listen:
        yield (
            f"{key('webhook', 'secret_file')}: needs [admin] listen, the address that the forge "
            "calls"
        )
    if webhook.path in ADMIN_PATHS or "?" in webhook.path:
        yield (
            f"{key('webhook', 'path')}: must not be one of {', '.join(ADMIN_PATHS)}, and have no "
            "query"
        )
    if site.idle.processes == "run" and site.idle.after is None:
        yield f"{key('idle', 'processes')}: has no effect without after"


def _in_routes(site: SiteSettings) -> Iterator[str]:
    key, serving = site.place.key, site.serving
    if not serving.hosts:
        yield no_hosts(site.place)
    elif serving.redirect_hosts and not is_exact(serving.hosts[0]):
        yield (
            f"{key('', 'redirect_hosts')}: needs a host to redirect to: the first of hosts must "
            f"have no wildcard, and is {serving.hosts[0]}"
        )
    if serving.strip_path and not any(path != ANY_PATH for path in serving.paths):
        yield f"{key('', 'strip_path')}: has no effect without paths"
    routes = len(serving.every_host) * max(1, len(serving.paths))
    if routes > MAX_ROUTES:
        yield (
            f"{key('', 'hosts')}: with paths, there are {routes} pairs of a host and a path; at "
            f"most {MAX_ROUTES} are possible"
        )


def no_hosts(place: Place) -> str:
    """The problem of a site that gets no requests."""
    return (
        f'{place.key("", HOSTS)}: must have at least one host; with ["*"], the site gets the '
        "requests for all hosts that no other site has"
    )


def _of_backends(site: SiteSettings) -> Iterator[str]:
    """How many backends there are, and where they listen."""
    app, key = site.app, site.place.key
    if app.ports is not None and app.backends is not None:
        yield f"{key('app', 'backends')}: has no effect with ports, which has one for each backend"
    if not app.uses_socket:
        return
    if placeholders.is_used(app.command, "port"):
        yield f"{key('app', 'command')}: has both {{port}} and {{socket}}: use one of them"
    if app.ports is not None:
        yield f"{key('app', 'ports')}: has no effect with {{socket}} in command"
    if app.port_opened_by == "anyone":
        yield f'{key("app", "port_opened_by")}: "anyone" is for ports, and command has {{socket}}'


def _addresses(settings: Settings) -> Iterable[tuple[str, tuple[Endpoint, ...]]]:
    """The addresses of the process, by their keys."""
    tls = settings.proxy.tls
    return (
        ("[proxy] listen", settings.proxy.listen),
        (REDIRECT, tls.redirecting if tls else ()),
        ("[admin] listen", settings.admin.listen),
    )


def _shared_addresses(settings: Settings) -> Iterator[str]:
    """Addresses that are given twice, or for two purposes."""
    seen: dict[Endpoint, str] = {}
    for key, endpoints in _addresses(settings):
        where = f"{settings.place}: {key}"
        for end, times in Counter(endpoints).items():
            if times > 1:
                yield f"{where}: {end} is listed twice"
            if end in seen:
                yield f"{where}: {end} is also in {seen[end]}{_https_instead(end, key)}"
            seen[end] = key


def _https_instead(end: Endpoint, key: str) -> str:
    """What to do about an address that was to speak plain HTTP until there was `[proxy.tls]`."""
    if end.port != 80 or key != REDIRECT:
        return ""
    return ': for HTTPS, set listen = ["[::]:443"]; then this address redirects to it'


def _of_ports(site: SiteSettings, settings: Settings) -> Iterator[str]:
    """Ports of the app that are also in an address of the process."""
    app_ports = common.ports_of(site)
    for key, endpoints in _addresses(settings):
        for end in dict.fromkeys(endpoints):
            if end.path is not None or end.port not in app_ports:
                continue
            if settings.is_single:
                yield f"{settings.place}: {key}: port {end.port} is one of the app's own ports"
            else:
                yield f"{site.place.key('app', 'ports')}: {end.port} is also in {key}, {end}"
