"""The real proxy in this process: a real gate, a real listener, and real sockets on both sides."""

import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import Factory, define

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.table import CertificateTable
from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings
from blue_green.config.site_settings import HoldSettings
from blue_green.http.errors import ErrorPages
from blue_green.http.sockets import open_socket
from blue_green.proxy.listener import Listener
from blue_green.proxy.pool import Pool
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Target
from blue_green.routing.router import Router, routes_of
from tests.raw.backend import Script, ScriptedBackend, says
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.tls_client import PemPair, TlsStream
from tests.raw.waiting import patience
from tests.waiting import until

SHORT = 0.3
"""Seconds for whatever is to be too late."""


@define
class RunningProxy:
    """A running proxy, what is behind it, and whoever connected to it."""

    port: int
    listening: socket.socket
    settings: ProxySettings
    site: ServedSite
    gate: Gate
    listener: Listener
    pool: Pool
    backend: ScriptedBackend
    target: Target
    nursery: trio.Nursery
    speaks_tls: bool = False
    redirect_port: int = 0
    challenges: Challenges | None = None
    clients: list[Peer] = Factory(list)

    async def connect(self) -> Peer:
        """A new connection, with hands shaken where that is the custom."""
        if not self.speaks_tls:
            return await self.connect_plainly()
        stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(Peer(stream))
        with patience("shaking hands", stream.tls.version):
            await stream.shake_hands()
        return self.clients[-1]

    async def connect_plainly(self, port: int = 0) -> Peer:
        """A new connection without TLS."""
        self.clients.append(Peer(await trio.open_tcp_stream("127.0.0.1", port or self.port)))
        return self.clients[-1]

    async def ask(self, *pieces: bytes) -> Peer:
        """A new connection on which these bytes were sent."""
        client = await self.connect()
        await client.send(*pieces)
        return client

    def use(self, **settings: Any) -> None:
        """Put these settings in force, as a reload does."""
        made = ProxySettings(**{"access_log": False, **settings})
        self.settings = self.site.limits = made
        self.listener.use(made, self.site.pages, Router(routes_of(self.site)))

    async def until_backend_has(self, count: int) -> None:
        """Wait until so many requests have begun."""
        await until(f"{count} requests", lambda: len(self.backend.heads) >= count)

    async def until_drained(self) -> None:
        """Wait until no request has a claim on the backend."""
        await until("no leases", lambda: not self.target.leases)


@asynccontextmanager
async def running(
    script: Script | None = None,
    *,
    hold: HoldSettings | None = None,
    tls: PemPair | None = None,
    table: CertificateTable | None = None,
    **settings: Any,
) -> AsyncIterator[RunningProxy]:
    """The proxy before such a backend; in the end, no lease may be left."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        backend = ScriptedBackend(script or says(OK))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        gate = Gate(hold or HoldSettings())
        address = Endpoint("127.0.0.1", port_of(listeners[0].socket))
        target = Target(address, "blue", "a" * 40)
        gate.switch([target])
        sock = open_socket(Endpoint("127.0.0.1", 0))
        speaks_tls = tls is not None or table is not None
        redirecting = [open_socket(Endpoint("127.0.0.1", 0))] if speaks_tls else []
        certificates = tls.certificates() if tls else None
        made = ProxySettings(**{"access_log": False, **settings})
        pool = Pool(made.backend_keepalive)
        site = ServedSite("", gate, pool, made, ErrorPages(made.error_pages))
        listener = Listener(
            made,
            Router(routes_of(site)),
            [sock],
            buffer_directory=Path(tempfile.gettempdir()),
            certificates=certificates.table if certificates else table,
            redirecting=redirecting,
        )
        proxy = RunningProxy(
            port_of(sock), sock, made, site, gate, listener, pool, backend, target, nursery
        )
        if redirecting:
            proxy.speaks_tls, proxy.redirect_port = True, port_of(redirecting[0])
        if certificates:
            proxy.challenges = certificates.challenges
        nursery.start_soon(trio.serve_listeners, backend.serve, listeners)
        nursery.start_soon(gate.queue.keep_ramping)
        nursery.start_soon(pool.run)
        nursery.start_soon(listener.run)
        if certificates:
            nursery.start_soon(certificates.run)
        try:
            yield proxy
            for client in proxy.clients:
                await trio.aclose_forcefully(client.stream)
            await proxy.until_drained()
        except Exception as error:  # noqa: BLE001 - it is raised again below, on its own
            failure = error
        finally:
            with trio.CancelScope(shield=True):
                for client in proxy.clients:
                    await trio.aclose_forcefully(client.stream)
            nursery.cancel_scope.cancel()
    if failure:
        raise failure


def port_of(sock: socket.socket | trio.socket.SocketType) -> int:
    port: int = sock.getsockname()[1]
    return port
