"""The handler of the proxy's addresses: finds the site of each request, and sends it there."""

from collections.abc import Awaitable

from blue_green.config.process_settings import ProxySettings
from blue_green.http.errors import ErrorResponse
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.exchange import Exchange
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.router import Router


class ReverseProxy:
    """Sends each request through the gate of its site to a backend."""

    def __init__(self, router: Router[ServedSite], settings: ProxySettings) -> None:
        self.router = router
        self.settings = settings

    def handle(self, stream: ClientStream) -> Awaitable[None]:
        request = stream.request
        route = self.router.find(request.host, request.target)
        if route is None:
            raise ErrorResponse(404, "This server has no site at this address.")
        stream.client.site = route.site
        return Exchange(stream, route.site, self.settings.idle_timeout).run()
