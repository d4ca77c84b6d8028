"""What tests of many kinds assert of a connection, and of the descriptors of this process."""

from collections.abc import Sequence
from pathlib import Path

from tests.raw.messages import GOOD
from tests.raw.peer import ParsedMessage, Peer
from tests.raw.proxy import RunningProxy
from tests.waiting import until


async def check_good_request_follows(proxy: RunningProxy) -> None:
    """A good request on a new connection is answered right away, whatever came before it."""
    client = await proxy.ask(GOOD)
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"good"), answer


async def check_is_kept(client: Peer) -> None:
    """The connection takes a further request."""
    await client.send(GOOD)
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"good"), answer


async def check_is_closed(client: Peer) -> None:
    """Nothing more comes, and the connection ends in an orderly way."""
    assert await client.end() == b""
    assert not client.was_reset


async def check_is_refused(
    proxy: RunningProxy, client: Peer, statuses: Sequence[int]
) -> ParsedMessage:
    """The client gets one of these and is closed; nothing reached the backend."""
    answer = await client.answer()
    assert answer.status in statuses, answer
    assert answer.field(b"connection") == [b"close"]
    await check_is_closed(client)
    assert [bytes(peer.received) for peer in proxy.backend.connections if peer.received] == []
    await check_good_request_follows(proxy)
    return answer


async def until_descriptors_are(count: int) -> None:
    """Wait until this process has no more than so many open descriptors."""
    await until(f"at most {count} descriptors", lambda: descriptors() <= count)


def descriptors() -> int:
    """How many are open in this process, which holds both ends of everything."""
    return len(list(Path("/proc/self/fd").iterdir()))
