"""The handler of the proxy's addresses: finds the site of each request, and sends it there."""

from collections.abc import Awaitable

from blue_green.config.process_settings import ProxySettings
from blue_green.files.roots import FileRoots
from blue_green.http.errors import ErrorResponse
from blue_green.http.request import Request
from blue_green.proxy import entry, path_prefix, redirect
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.exchange import Exchange
from blue_green.proxy.file_responses import METHODS, FileResponder, respond_now
from blue_green.proxy.occupancy import Occupancy
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.router import Route, Router


class ReverseProxy:
    """Sends each request through the gate of its site to a backend."""

    def __init__(
        self, router: Router[ServedSite], settings: ProxySettings, buffers: BufferSpace
    ) -> None:
        self.router = router
        self.idle_timeout = settings.idle_timeout
        self.occupancy = Occupancy()
        self.buffers = buffers

    def handle(self, stream: ClientStream) -> Awaitable[None]:
        request = stream.request
        route = self.router.find(request.host, request.target)
        if route is None:
            raise self._not_found(request)
        stream.client.site = route.site
        if self.occupancy.is_crowded:
            self.occupancy.check(route.site)
        if route.moved_to:
            raise redirect.moved(request, stream.client.remote, route.moved_to)
        if route.prefix:
            path_prefix.check(request.target)
        if (trial := route.site.trial) is not None:
            opened = trial.admit(stream, route.prefix)
            if opened is not None:
                return opened
        if (maintenance := route.site.maintenance) is not None:
            opened = maintenance.admit(stream, route.prefix)
            if opened is not None:
                return opened
        files = route.site.files if stream.trial is None else stream.trial.files
        if files is None or not self._may_be_file(request, route, files):
            return Exchange(stream, route, self.buffers, self.idle_timeout).run()
        return respond_now(stream, files, route) or self._file_or_app(stream, route, files)

    def _may_be_file(self, request: Request, route: Route[ServedSite], files: FileRoots) -> bool:
        """Whether to look for a file, before the gate. With an app, also while requests wait."""
        if not files.has_app:
            return route.site.gate.is_open
        if request.method not in METHODS:
            return False
        return bool(route.stripped) or not files.is_for_app(request.target)

    async def _file_or_app(
        self, stream: ClientStream, route: Route[ServedSite], files: FileRoots
    ) -> None:
        """Send a file if there is one, and otherwise what the app responds."""
        if not await FileResponder(stream, files, route).run():
            entry.check_maintenance(route.site, stream)
            await Exchange(stream, route, self.buffers, self.idle_timeout).run()

    def _not_found(self, request: Request) -> ErrorResponse:
        what = "path" if self.router.knows(request.host) else "host name"
        host = (request.host or b"").decode("latin-1")
        fault = f"the host is {host}" if host else "the request names no host"
        return ErrorResponse(404, f"This server has no site with this {what}.", fault=fault)
