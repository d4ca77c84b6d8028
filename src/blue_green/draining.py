"""Waiting until targets have nothing left to do, and ending what goes on too long.

Requests and streams are different: a request ends by itself, and is worth waiting for; a stream
may last for ever, so nobody waits for it, and it is ended in a way that its client understands.
"""

from collections.abc import Sequence

import trio

from blue_green.lease import Lease, Target, cut, end_streams

TO_END = 2.5
"""Seconds that a stream may take to end properly before its connection is closed."""


async def drain(targets: Sequence[Target], timeout: float) -> int:
    """Wait until these have no requests left; how many are left after `timeout` seconds."""
    with trio.move_on_after(timeout):
        for target in targets:
            await target.drained()
    return sum(target.in_flight for target in targets)


async def close_streams(targets: Sequence[Target], timeout: float) -> int:
    """End the streams that do not end by themselves, spread over `timeout` seconds; how many.

    All at one moment would make all those clients come back at one moment.
    """
    streams = [lease for target in targets for lease in target.leases if lease.is_stream]
    left = list(streams)
    began, count = trio.current_time(), 0
    for number, lease in enumerate(streams, start=1):
        await _until_ended(left, began + timeout * number / len(streams))
        if _is_open(lease):
            count += end_streams([lease])
    await _until_ended(left, trio.current_time() + TO_END)
    cut(lease for lease in left if _is_open(lease))
    return count


async def _until_ended(streams: list[Lease], deadline: float) -> None:
    """Wait until none of these is open, but no longer than this; take those out that are not."""
    with trio.move_on_at(deadline):
        while streams:
            if _is_open(streams[-1]):
                await streams[-1].target.less()
            else:
                streams.pop()


def _is_open(lease: Lease) -> bool:
    return lease in lease.target.leases
