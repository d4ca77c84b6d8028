"""Waiting until targets have nothing left to do, and ending what goes on too long.

Requests and streams are different: a request ends by itself, and is worth waiting for; a stream
may last for ever, so nobody waits for it, and it is ended in a way that its client understands.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from blue_green.routing.lease import Lease, Target, cut, end_streams

LOOK_EVERY = 0.05
SPREAD_AT_STOP = 1.0
"""Seconds over which the streams are ended that an app which stops has not ended itself."""
TO_END = 2.5
"""Seconds that a stream may take to end properly before its connection is closed."""


async def drain(targets: Sequence[Target], timeout: float) -> int:
    """Wait until these have no requests left; how many are left after `timeout` seconds."""
    with trio.move_on_after(timeout):
        for target in targets:
            await target.drained()
    return sum(target.in_flight for target in targets)


def requests_of(targets: Sequence[Target]) -> list[Lease]:
    """The requests that these have in flight."""
    return [lease for target in targets for lease in target.leases if not lease.is_stream]


async def until_clients_are_waited_for(targets: Sequence[Target]) -> None:
    """Wait until each request that is left takes time only since its client takes its time."""
    while not all(lease.waits_for_client for lease in requests_of(targets)):
        await trio.sleep(LOOK_EVERY)


async def stop_with_streams(
    targets: Sequence[Target], stop: Callable[[], Awaitable[None]], *, own_time: float
) -> None:
    """Stop what these lead to, and leave no stream broken.

    The app hears its stop signal first, and may end its streams itself within `own_time` seconds.
    Then we do, for many servers wait for that before they end. What still breaks off because of the
    stop is ended properly by whoever relays it.
    """
    for target in targets:
        target.is_stopping = True

    async def end_streams_later() -> None:
        await trio.sleep(own_time)
        await close_streams(targets, SPREAD_AT_STOP)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_streams_later)
        await stop()
        nursery.cancel_scope.cancel()


async def close_streams(
    targets: Sequence[Target], timeout: float, *, to_end: float = TO_END
) -> int:
    """End the streams that do not end by themselves, spread over `timeout` seconds; how many.

    All at one moment would make all those clients come back at one moment.
    """
    streams = [lease for target in targets for lease in target.leases if lease.is_stream]
    left = list(streams)
    began, count = trio.current_time(), 0
    for number, lease in enumerate(streams, start=1):
        await _until_ended(left, began + timeout * number / len(streams))
        if lease.is_open:
            count += end_streams([lease])
    await _until_ended(left, trio.current_time() + to_end)
    cut(lease for lease in left if lease.is_open)
    return count


async def until_ended(leases: Iterable[Lease]) -> None:
    """Wait until none of these requests is left, or has become a stream."""
    for lease in leases:
        while lease.is_open and not lease.is_stream:
            await lease.target.lease_ended()


async def _until_ended(streams: list[Lease], deadline: float) -> None:
    """Wait until none of these is open, but no longer than this; take those out that are not."""
    with trio.move_on_at(deadline):
        while streams:
            if streams[-1].is_open:
                await streams[-1].target.lease_ended()
            else:
                streams.pop()
