"""Clients that mean well, in a process of their own; what they waited is printed at the end.

Each keeps its connection for a few requests and then opens another one. The wait for a new
connection, and for its handshake, counts as part of the wait for its first answer.
"""

import json
import math
import ssl
import sys
from collections.abc import Sequence

import trio
from attrs import asdict, frozen

from tests.hostile.target import TargetSite

CLIENTS = 4
PAUSE = 0.01
"""Seconds between two requests of one client."""
ON_ONE_CONNECTION = 10
LOST = 30.0
"""Seconds after which a request that nobody has answered has failed."""
HOST = "test.example"
REQUEST = b"GET /polite HTTP/1.1\r\nHost: %b\r\n\r\n" % HOST.encode()
BODY = b"hello\n"


@frozen
class Waits:
    """How long answers took, in milliseconds, and how many requests got none."""

    answered: int
    failed: int
    why: str
    """What happened to the first that failed."""
    median: float
    p99: float


async def ask(target: TargetSite, seconds: float) -> Waits:
    """Have the clients ask for so long."""
    waits: list[float] = []
    failures: list[str] = []
    context = target.tls()
    end = trio.current_time() + seconds

    async def client() -> None:
        while trio.current_time() < end:
            stream: trio.abc.Stream | None = None
            try:
                for _ in range(ON_ONE_CONNECTION):
                    began = trio.current_time()
                    with trio.fail_after(LOST):
                        stream = stream or await _connect(target, context)
                        await _exchange(stream)
                    waits.append(trio.current_time() - began)
                    await trio.sleep(PAUSE)
                    if trio.current_time() >= end:
                        break
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, EOFError) as error:
                failures.append(repr(error))
                await trio.sleep(PAUSE)
            finally:
                if stream is not None:
                    await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(client)
    return Waits(
        len(waits), len(failures), failures[0] if failures else "",
        1000 * _quantile(waits, 0.5), 1000 * _quantile(waits, 0.99),
    )  # fmt: skip


async def _connect(target: TargetSite, context: ssl.SSLContext | None) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream("127.0.0.1", target.port)
    if context is None:
        return stream
    return trio.SSLStream(stream, context, server_hostname="localhost")


async def _exchange(stream: trio.abc.Stream) -> None:
    await stream.send_all(REQUEST)
    answer = b""
    while not answer.endswith(BODY):
        data = await stream.receive_some(4096)
        answer += data
        if not data or not answer.startswith(b"HTTP/1.1 200 "[: len(answer)]):
            raise EOFError(answer.decode(errors="replace"))


def _quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not go over; infinite without any."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.inf


if __name__ == "__main__":
    waited = trio.run(ask, TargetSite.from_json(sys.argv[1]), float(sys.argv[2]))
    print(json.dumps(asdict(waited)))
