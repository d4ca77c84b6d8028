"""TLS that is more work, or more memory, than what it carries.

Python's `ssl` cannot update keys, so that is done with the library that it uses itself.
"""

import ctypes
import ctypes.util
import functools
import math
import socket
import ssl
from contextlib import suppress

import trio

from tests.hostile.attacks import CONNECTIONS, in_threads, on_each_connection
from tests.hostile.target import TargetSite

REQUESTED = 1
"""SSL_KEY_UPDATE_REQUESTED: the other side has to update its own keys, too, and to say so."""


@functools.cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("ssl")
    assert name, "there is no libssl"
    library = ctypes.CDLL(name)
    for function in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(library, function).restype = ctypes.c_void_p
    library.SSL_CTX_new.argtypes = [ctypes.c_void_p]
    library.SSL_new.argtypes = [ctypes.c_void_p]
    library.SSL_set_fd.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.SSL_set_alpn_protos.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]
    library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
    for function in ("SSL_connect", "SSL_do_handshake", "SSL_free"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
    return library


@functools.cache
def _context() -> ctypes.c_void_p:
    library = _library()
    context: ctypes.c_void_p = library.SSL_CTX_new(library.TLS_client_method())
    return context


def what_is_missing() -> str:
    """What key updates need and is not here, if anything."""
    return "" if ctypes.util.find_library("ssl") else "it needs libssl as a shared library"


class Updater:
    """A client, on a socket that waits, that only ever updates its keys."""

    def __init__(self, sock: socket.socket, protocols: bytes = b"") -> None:
        """`protocols` as they are sent (RFC 7301 section 3.1)."""
        self.sent = 0
        self._sock = sock
        self._protocols = protocols

    def run(self, count: float = math.inf) -> None:
        """Shake hands, and send so many updates, or as many as can be sent."""
        library = _library()
        tls = library.SSL_new(_context())
        try:
            library.SSL_set_fd(tls, self._sock.fileno())
            library.SSL_set_alpn_protos(tls, self._protocols, len(self._protocols))
            if library.SSL_connect(tls) != 1:
                return
            while self.sent < count and library.SSL_key_update(tls, REQUESTED) == 1:
                if library.SSL_do_handshake(tls) != 1:
                    return
                self.sent += 1
        finally:
            library.SSL_free(tls)


async def key_updates(target: TargetSite, protocols: bytes = b"") -> None:
    """Nothing but updates of keys, each of which the other side has to answer in kind."""

    def attack() -> None:
        with socket.create_connection(("127.0.0.1", target.port)) as sock:
            Updater(sock, protocols).run()

    await in_threads(attack)


async def key_updates_of_http2(target: TargetSite) -> None:
    await key_updates(target, b"\x02h2")


def hello() -> bytes:
    """The first message of a client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


async def replayed_hellos(target: TargetSite) -> None:
    """The first message of a handshake, and then the end: the other side has all the work."""
    first = hello()

    def attack() -> None:
        with socket.create_connection(("127.0.0.1", target.port), 10) as sock:
            sock.sendall(first)

    await in_threads(attack, pause=0)


async def one_byte_records(target: TargetSite) -> None:
    """A body of one byte a record."""
    context = target.tls()
    assert context is not None
    head = b"POST /sink HTTP/1.1\r\nHost: test.example\r\nContent-Length: 1000000000\r\n\r\n"

    async def send(stream: trio.SocketStream) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await stream.send_all(outgoing.read())
                incoming.write(await stream.receive_some())
        tls.write(head)
        while True:
            for _ in range(1000):
                tls.write(b"a")
            await stream.send_all(outgoing.read())

    await on_each_connection(target, send)


async def slow_readers(target: TargetSite) -> None:
    """Forty who ask for something without end, and take nothing of it."""
    context = target.tls()

    async def one() -> None:
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", target.port))
        stream: trio.abc.Stream = trio.SocketStream(sock)
        if context is not None:
            stream = trio.SSLStream(stream, context, server_hostname="localhost")
        await stream.send_all(b"GET /endless HTTP/1.1\r\nHost: test.example\r\n\r\n")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(one)
