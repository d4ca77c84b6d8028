"""Find contradictions between settings that are valid one by one."""

from collections import Counter
from collections.abc import Iterator

from blue_green.config import placeholders
from blue_green.config.admin_paths import ADMIN_PATHS
from blue_green.config.kinds import Endpoint
from blue_green.config.settings import Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """A line for each problem."""
    [site] = settings.sites
    release, proxy, admin = site.release, settings.proxy, settings.admin
    webhook = site.webhook
    for name, meant in placeholders.misspelt(site.app.command):
        yield f"[app] command: {{{name}}} is unknown; did you mean {{{meant}}}?"
    yield from _shared_addresses(settings)
    rules = [
        (bool(proxy.listen), "[proxy] listen: must have at least one address"),
        (proxy.max_head >= 1024, "[proxy] max_head: must be at least 1KiB"),
        (
            not (release.in_place and release.link),
            "[release] link: has no effect with in_place = true",
        ),
        (
            admin.listen or not admin.drain_delay,
            "[admin] drain_delay: has no effect without [admin] listen",
        ),
        (
            admin.listen or not webhook.secret_file,
            "[webhook] secret_file: needs [admin] listen, the address that the forge calls",
        ),
        (
            webhook.path not in ADMIN_PATHS and "?" not in webhook.path,
            f"[webhook] path: must not be one of {', '.join(ADMIN_PATHS)}, and have no query",
        ),
    ]
    yield from (problem for is_kept, problem in rules if not is_kept)


def _shared_addresses(settings: Settings) -> Iterator[str]:
    """Addresses that are given twice, or for two purposes."""
    app_ports = {port for site in settings.sites for slot in site.app.ports for port in slot}
    tls = settings.proxy.tls
    seen: dict[Endpoint, str] = {}
    for key, endpoints in (
        ("[proxy] listen", settings.proxy.listen),
        ("[proxy.tls] redirect", tls.redirect if tls else ()),
        ("[admin] listen", settings.admin.listen),
    ):
        for end, times in Counter(endpoints).items():
            if times > 1:
                yield f"{key}: {end} is listed twice"
            if end.path is None and end.port in app_ports:
                yield f"{key}: port {end.port} is one of the app's own ports"
            if end in seen:
                yield f"{key}: {end} is also in {seen[end]}"
            seen[end] = key
