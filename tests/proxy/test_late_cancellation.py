"""A request that is cancelled at the moment at which its response arrives."""

import os

import trio

from blue_green.routing.lease import cut
from tests.raw.checks import check_is_closed
from tests.raw.messages import OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.waiting import until

ATTEMPTS = 30
"""The proxy's task may run before the cancellation, or after it: each in half of all attempts."""


async def test_a_request_that_is_cut_as_it_is_answered_gets_one_response() -> None:
    lost: list[int] = []
    cuts = 0

    async def respond_and_cut(peer: Peer) -> None:
        await peer.request()
        os.write(peer.stream.socket.fileno(), OK)
        await trio.lowlevel.checkpoint()  # The proxy's task is woken for the same iteration.
        lost.append(cut(proxy.target.leases))

    async with running(respond_and_cut) as proxy:
        for _ in range(ATTEMPTS):
            lost.clear()
            client = await proxy.ask(POST + b"hello")
            assert (await client.answer()).status == 200
            await until("the backend's script has ended", lambda: lost)
            if lost[0]:
                cuts += 1
                await check_is_closed(client)
    assert cuts, "No request was cut."
