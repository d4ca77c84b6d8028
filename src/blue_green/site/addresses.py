"""The addresses on which the backends of a slot listen: ports, or Unix sockets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blue_green.config.kinds import Endpoint
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.site import app_sockets, found_ports
from blue_green.site.backend import HOST
from blue_green.system.handover import HandedBackend, HandedRelease

if TYPE_CHECKING:
    from blue_green.site.site import Site


async def of_slot(site: "Site", slot: str, settings: SiteSettings) -> Sequence[Endpoint]:
    """One for each backend of a slot in which nothing runs; raise `MachineFault`."""
    app = settings.app
    if settings.is_static:
        return ()
    if app.uses_socket:
        return app_sockets.addresses(settings.state_directory, slot, app.backends or 1)
    return named(app, slot) or on_loopback(await found_ports.of_slot(site, slot, app.backends or 1))


def named(app: AppSettings, slot: str) -> Sequence[Endpoint]:
    """The addresses of a slot that the settings name, if they do."""
    if app.ports is None:
        return ()
    blue, green = app.ports
    return on_loopback(blue if slot == "blue" else green)


def of_handed(release: HandedRelease) -> Sequence[Endpoint]:
    """The addresses of a release that an upgrade in place has left running."""
    sockets = [Endpoint(path=Path(path)) for path in release.sockets]
    return sockets or on_loopback(release.ports)


def of_handed_backend(backend: HandedBackend) -> Endpoint:
    return Endpoint(path=Path(backend.socket)) if backend.socket else Endpoint(HOST, backend.port)


def ports_in(addresses: Iterable[Endpoint]) -> list[int]:
    return [address.port for address in addresses if address.path is None]


def sockets_in(addresses: Iterable[Endpoint]) -> list[str]:
    return [str(address.path) for address in addresses if address.path is not None]


def on_loopback(ports: Iterable[int]) -> Sequence[Endpoint]:
    return [Endpoint(HOST, port) for port in ports]
