"""Send the progress of a swap to a client."""

from typing import Any

import trio

from blue_green.config.command_line import to_decide
from blue_green.control.server import Send
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site

TICK = 0.25
"""Seconds between two progress events for a client that follows a swap."""
SOURCES = ("build", "migrate")
"""Whose output is sent."""


async def follow(
    site: Site, request: DeployRequest, send: Send, *, with_output: bool = False
) -> dict[str, Any]:
    """Send the events of a request, and its progress between them; return the receipt.

    With `with_output`, also the output of `build` and `migrate`, in batches before each event.
    """
    next_line = site.output.end
    async with request.subscribe() as events:
        while True:
            try:
                event = await _next(events)
            except trio.EndOfChannel:
                break
            if with_output:
                next_line = await _send_output(site, request.revision, next_line, send)
            await send(event or _progress(site))
    assert request.receipt is not None
    return request.receipt.as_dict()


async def follow_to_preview(site: Site, request: DeployRequest, send: Send) -> dict[str, Any]:
    """Follow a request until its preview has begun; its secret link, as a path, or the receipt."""
    async with request.subscribe() as events:
        while request.receipt is None:
            trial = site.queue.trial
            if trial is not None and trial.link and trial.revision == request.revision:
                return {
                    "revision": trial.revision,
                    "link": trial.link,
                    "seconds_left": round(trial.seconds_left, 1),
                    "to_decide": to_decide(site.label),
                }
            try:
                event = await _next(events)
            except trio.EndOfChannel:
                break
            await send(event or _progress(site))
    assert request.receipt is not None
    return request.receipt.as_dict()


async def _next(events: trio.MemoryReceiveChannel[dict[str, Any]]) -> dict[str, Any] | None:
    """The next event; None if it is time to send the progress."""
    with trio.move_on_after(TICK):
        return await events.receive()
    return None


async def _send_output(site: Site, revision: str, start: int, send: Send) -> int:
    """Send the lines that have come since; the number of the next one."""

    def matches(source: str, of: str) -> bool:
        return source in SOURCES and of == revision

    end = site.output.end  # Not more than that now: a build may write without end.
    while start < end:
        batch = site.output.read(start, matches)
        start = batch.next_line
        if batch.lines:
            lines = [line.as_dict() for line in batch.lines]
            await send({"event": "lines", "lost": batch.lost, "lines": lines})
    return start


def _progress(site: Site) -> dict[str, Any]:
    """The progress of the current swap, which may be another one than the client follows."""
    swap = site.queue.current
    return {
        "event": "tick",
        "revision": swap.revision if swap else None,
        "phase": swap.phase if swap else "",
        "seconds": round(trio.current_time() - swap.phase_began, 4) if swap else 0.0,
        "held": site.gate.held,
        "detail": swap.trial.progress if swap and swap.trial else "",
    }
