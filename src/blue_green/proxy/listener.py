"""Accept connections on the listening sockets, and serve each in a task of its own."""

import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from blue_green.certificates.table import CertificateTable
from blue_green.config.process_settings import ProxySettings
from blue_green.http.errors import ErrorPages
from blue_green.http.sockets import first_port, in_words
from blue_green.http2.session import SessionLimits
from blue_green.proxy import quiesce
from blue_green.proxy.accept_loop import accept_all
from blue_green.proxy.accepted import client_of
from blue_green.proxy.acme_challenge import AcmeChallenge
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.client import Client
from blue_green.proxy.client_counts import ClientCounts
from blue_green.proxy.connection import serve
from blue_green.proxy.disconnects import Disconnects
from blue_green.proxy.handler import Handler
from blue_green.proxy.places import Places
from blue_green.proxy.redirect import Redirect
from blue_green.proxy.remote import Trust
from blue_green.proxy.reverse_proxy import ReverseProxy
from blue_green.proxy.served_site import ServedSite
from blue_green.proxy.shared import Shared
from blue_green.routing.router import Router
from blue_green.system.handover import HandedClient

logger = logging.getLogger(__name__)

LONGEST_INTERVAL = 0.5
"""Seconds between looks at the clients' deadlines."""
LINGER_TIMEOUT = 1.0
"""Seconds in which a client may read what it was sent last."""
FIRST_REQUEST = 0.5
"""Seconds for the first request of a client that we accepted just before we stopped accepting."""


class Listener:
    """The proxy's server: its sockets and its client connections."""

    def __init__(
        self,
        settings: ProxySettings,
        router: Router[ServedSite],
        sockets: Sequence[socket.socket],
        *,
        buffer_directory: Path,
        certificates: CertificateTable | None = None,
        redirecting: Sequence[socket.socket] = (),
        handed: Sequence[HandedClient] = (),
    ) -> None:
        """With `certificates`, it speaks TLS. `redirecting` are the sockets that redirect to https,
        `handed` the clients to begin with. Raises `BadPages`.
        """
        self._certificates = certificates
        self._settings = settings
        self._trust = Trust(settings.trusted_proxies)
        self.by_status: Counter[int] = Counter()
        """How many requests to no site have ended with each status."""
        self._shared = Shared(settings, ErrorPages(settings.error_pages), self.by_status)
        self._proxy = ReverseProxy(router, settings, BufferSpace(settings, buffer_directory))
        self._sockets = sockets
        self._redirecting = redirecting
        self._handed = handed
        self._redirect: Handler = Redirect(first_port(sockets))
        if certificates is not None:
            self._redirect = AcmeChallenge(certificates.challenges.http, self._redirect)
        self._places = self._shared.admission = Places(self._proxy.occupancy)
        self._clients = self._places.clients
        self._accepting = trio.CancelScope()
        self._has_stopped = trio.Event()
        """No connection is accepted any more."""
        self._interval = LONGEST_INTERVAL
        """Seconds between looks at the deadlines: at most an eighth of the shortest timeout."""
        self.use(settings, self._shared.pages, router)

    @property
    def addresses(self) -> str:
        """Where it listens and what it speaks there, for the log and the status."""
        places = ", ".join(in_words(sock.getsockname()) for sock in self._sockets)
        if self._certificates is not None:
            places += " with TLS and HTTP/2" if self._settings.http2.enabled else " with TLS"
        for sock in self._redirecting:
            places += f", to which {in_words(sock.getsockname())} redirects"
        return places

    @property
    def connections(self) -> int:
        """How many clients there are: connections, and requests of HTTP/2."""
        return len(self._clients)

    def count_clients(self) -> ClientCounts:
        """What the clients are, and how many."""
        http2 = sum(client.can_announce for client in self._clients)
        streams = sum(client.is_one_of_many for client in self._clients)
        return ClientCounts(
            http1_connections=len(self._clients) - http2 - streams,
            http2_connections=http2,
            http2_streams=streams,
            over_max_connections=self._places.refused_streams,
            over_max_streams=self._shared.over_max_streams,
        )

    @property
    def is_draining(self) -> bool:
        """Whether it has stopped accepting connections."""
        return self._accepting.cancel_called

    def use(self, settings: ProxySettings, pages: ErrorPages, router: Router[ServedSite]) -> None:
        """Put new settings in force, for new requests and for timeouts that have not begun.

        Requests that have begun stay at their site, also if it is no longer in the router.
        """
        self._settings = self._shared.settings = settings
        self._trust.proxies = settings.trusted_proxies
        self._proxy.router, self._proxy.idle_timeout = router, settings.idle_timeout
        self._proxy.occupancy.use(router.sites, settings.max_connections)
        self._places.use(settings.max_connections)
        http2 = settings.http2
        self._shared.http2 = SessionLimits(
            max_streams=http2.max_streams, max_resets=http2.max_resets,
            max_control_frames=http2.max_control_frames, max_head=settings.max_head,
        )  # fmt: skip
        self._proxy.buffers.use(settings, router.sites)
        times: list[float] = [settings.header_timeout, settings.idle_timeout]
        times += [site.limits.response_timeout for site in router.sites]
        self._interval = min(min(times) / 8, LONGEST_INTERVAL)
        # A request that is refused before it has a site counts for one that gets all requests.
        sole = router.sole
        self._shared.pages = sole.pages if sole else pages
        self._shared.by_status = sole.gate.by_status if sole else self.by_status

    async def run(self) -> None:
        """Serve until cancelled."""
        with Disconnects() as disconnects:
            self._shared.disconnects = disconnects
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(disconnects.run)
                    nursery.start_soon(self._proxy.buffers.run)
                    nursery.start_soon(self._clients.enforce_deadlines, lambda: self._interval)
                    await self._take_up(nursery)
                    with self._accepting:
                        async with trio.open_nursery() as accepting:
                            for sock in (*self._sockets, *self._redirecting):
                                serve_one = partial(self._serve, sock in self._redirecting)
                                accepting.start_soon(
                                    accept_all, sock, self._places, self._shared, nursery, serve_one
                                )
                    self._stop_listening()
            finally:
                self._stop_listening()

    @asynccontextmanager
    async def at_rest(self, timeout: float) -> AsyncIterator[Collection[Client]]:
        """Wait for the requests in flight, and let none begin in this block.

        Yields the clients, all of which wait, except streams. Connections with TLS have ended.
        Raises `trio.TooSlowError`, and everything goes on.
        """
        async with quiesce.at_rest(
            self._shared, self._clients, lambda: self._places.taken, timeout
        ):
            yield self._clients

    async def finish(self, timeout: float) -> None:
        """Wait for the requests in flight, and serve others meanwhile.

        From now on, each connection ends with its current request.
        """
        self._shared.closing = True
        quiesce.announce_to_idle(self._clients)
        await self.until_finished(timeout)
        await quiesce.until_no_stream_begins(self._shared, self._clients)

    async def until_finished(self, timeout: float) -> int:
        """Wait for the requests in flight, and serve others; how many are left after `timeout`."""
        return await quiesce.until_finished(self._clients, timeout)

    async def drain(self, timeout: float) -> int:
        """Stop accepting, and wait for requests in flight; how many are left after `timeout`."""
        self._accepting.cancel()
        self._shared.closing = True
        await self._has_stopped.wait()
        while len(self._clients) < self._places.taken:  # Some were accepted just now.
            await trio.lowlevel.checkpoint()
        quiesce.announce_last_streams(self._shared, self._clients)
        for client in self._clients:
            if client.can_announce:
                continue
            if client.is_idle and client.served and not quiesce.has_unread(client):
                client.shut_down()
            elif client.is_idle:  # It has only just connected, and its request may be on its way.
                client.shorten_timeout(FIRST_REQUEST)
        with trio.move_on_after(timeout):
            while left := sum(not (it.is_stream or it.is_closing) for it in self._clients):
                await self._places.fewer()
        return left

    async def close(self) -> None:
        """End all that is left, streams too."""
        with trio.move_on_after(LINGER_TIMEOUT):
            while any(client.is_closing for client in self._clients):
                await self._places.fewer()
        for client in self._clients:
            client.cut()
        with trio.move_on_after(LINGER_TIMEOUT):
            while self._clients:
                await self._places.fewer()

    async def _take_up(self, nursery: trio.Nursery) -> None:
        """Go on with the clients of the process before us."""
        for client in self._handed:
            self._places.take()
            sock = socket.socket(fileno=client.descriptor)
            address = (client.address, 0) if client.address else ""
            nursery.start_soon(self._serve, client.redirects, sock, address, client)
            if client.unread:
                await trio.lowlevel.checkpoint()  # As when they are accepted: in their order.

    async def _serve(
        self,
        redirects: bool,
        sock: socket.socket,
        address: object,
        handed: HandedClient | None = None,
    ) -> None:
        client: Client | None = None
        try:
            with sock:
                certificates = None if redirects or handed else self._certificates
                client = client_of(
                    sock, address, self._trust, certificates, self._settings, redirects=redirects
                )
                self._clients.add(client)
                if handed is not None:
                    quiesce.take_up(client, handed)
                handler: Handler = self._redirect if redirects else self._proxy
                await serve(client, self._shared, handler)
        except OSError:
            pass  # It disconnected before it was served.
        except Exception:
            # A bug of ours must cost this connection and no other.
            logger.exception("unhandled exception in a connection")
        finally:
            if client is not None:
                self._clients.remove(client)
            self._places.free()

    def _stop_listening(self) -> None:
        self._has_stopped.set()
        for sock in (*self._sockets, *self._redirecting):
            if sock.fileno() >= 0:
                sock.close()
