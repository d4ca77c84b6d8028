"""Drain targets: wait for their requests, and end what takes too long.

A request ends by itself and is worth waiting for. A stream may last for ever: nothing waits for it,
and it is closed in a way that its client understands.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from blue_green.routing.lease import Lease, Target, cut, end_streams

POLL_INTERVAL = 0.05
SPREAD_AT_STOP = 1.0
"""Seconds over which we close the streams that a stopping app has not closed itself."""
CLOSE_TIMEOUT = 2.5
"""Seconds that a stream may take to close properly before its connection is cut."""


async def drain(targets: Sequence[Target], timeout: float) -> int:
    """Wait until no requests are in flight; how many still are after `timeout` seconds."""
    with trio.move_on_after(timeout):
        for target in targets:
            await target.drained()
    return sum(target.in_flight for target in targets)


def requests_of(targets: Sequence[Target]) -> list[Lease]:
    """The requests in flight, without streams."""
    return [lease for target in targets for lease in target.leases if not lease.is_stream]


async def until_only_clients_are_slow(targets: Sequence[Target]) -> None:
    """Wait until all requests that are left wait for their client, and none for the app."""
    while not all(lease.waits_for_client for lease in requests_of(targets)):
        await trio.sleep(POLL_INTERVAL)


async def stop_with_streams(
    targets: Sequence[Target], stop: Callable[[], Awaitable[None]], *, grace: float
) -> None:
    """Stop the backends of these targets, and close their streams properly.

    The app gets its stop signal first, and may close its streams itself within `grace` seconds.
    Then we close them, since many servers wait for that before they exit. A stream that the stop
    breaks off all the same is closed properly by its relay.
    """
    for target in targets:
        target.is_stopping = True

    async def end_streams_later() -> None:
        await trio.sleep(grace)
        await close_streams(targets, SPREAD_AT_STOP)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_streams_later)
        await stop()
        nursery.cancel_scope.cancel()


async def close_streams(
    targets: Sequence[Target], timeout: float, *, close_timeout: float = CLOSE_TIMEOUT
) -> int:
    """Close the streams that do not end by themselves, spread over `timeout` seconds; how many.

    If all were closed at once, all their clients would reconnect at once.
    """
    streams = [lease for target in targets for lease in target.leases if lease.is_stream]
    left = list(streams)
    began, count = trio.current_time(), 0
    for number, lease in enumerate(streams, start=1):
        await _until_ended(left, began + timeout * number / len(streams))
        if lease.is_open:
            count += end_streams([lease])
    await _until_ended(left, trio.current_time() + close_timeout)
    cut(lease for lease in left if lease.is_open)
    return count


async def until_ended(leases: Iterable[Lease]) -> None:
    """Wait until each of these requests has ended or become a stream."""
    for lease in leases:
        while lease.is_open and not lease.is_stream:
            await lease.target.lease_ended()


async def _until_ended(streams: list[Lease], deadline: float) -> None:
    """Wait until none of these is open, or until the deadline; remove those that have ended."""
    with trio.move_on_at(deadline):
        while streams:
            if streams[-1].is_open:
                await streams[-1].target.lease_ended()
            else:
                streams.pop()


def still_in_flight(count: int, seconds: float) -> str:
    """Say that requests were not finished in time."""
    were = "request was" if count == 1 else "requests were"
    return f"{count} {were} still in flight after {seconds:g} s"
