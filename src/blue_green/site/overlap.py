"""Overlap: the new release starts beside the live one, and requests never wait.

Once it is healthy, one assignment makes it live; the old one finishes its requests, is kept warm
while the new one proves itself, and is stopped.
"""

import trio
from attrs import evolve

from blue_green.config.kinds import Seconds
from blue_green.site import data_check
from blue_green.site.draining import drain
from blue_green.site.receipt import Result
from blue_green.site.retirement import SOON
from blue_green.site.slots import Slot
from blue_green.site.swap import Swap, in_flight_of, output_of
from blue_green.source.release import Release

LAST_WORDS = 1.0
"""Seconds to wait for the rest of what a release wrote that has died."""
GOES_BACK = "a rollback was asked for"


async def run(swap: Swap, old: Slot | None, release: Release, warm: Slot | None = None) -> Result:
    """Start this release beside `old`, and switch; raise what a phase fails with.

    `warm` is the slot in which the release runs already, if it does.
    """
    await swap.migrate(release)
    async with swap.starting(swap.site.slots.idle, release, is_warm=bool(warm)) as candidate:
        await swap.start(candidate, release)
        await data_check.check_again(swap, old)
        in_flight = await swap.switch(candidate, old)
    if old is None:
        return await swap.promote(candidate)
    switched_at = trio.current_time()
    trouble = await _soak(swap, old, candidate, in_flight)
    if trouble:
        return await _revert(swap, old, candidate, trouble)
    swap.site.retirement.begin(old, swap.settings.swap, swap.receipt, switched_at=switched_at)
    return await swap.promote(candidate)


async def _soak(swap: Swap, old: Slot, candidate: Slot, in_flight: int) -> str:
    """Let the new one prove itself while the old one finishes; what is wrong with it, if so."""
    soak_until = trio.current_time() + swap.settings.swap.soak
    trouble = ""
    swap.can_go_back = True
    async with trio.open_nursery() as nursery:

        def go_back(why: str) -> None:
            nonlocal trouble
            trouble = trouble or why
            nursery.cancel_scope.cancel()

        async def watch() -> None:
            go_back(await candidate.first_failure(swap.settings))

        async def listen() -> None:
            await swap.go_back.wait()
            go_back(GOES_BACK)

        nursery.start_soon(watch)
        nursery.start_soon(listen)
        with swap.timed("drain"):
            await drain(old.targets, swap.settings.swap.soak)
        with swap.timed("soak" if swap.settings.swap.soak else ""):
            await trio.sleep_until(soak_until)
        nursery.cancel_scope.cancel()
    swap.can_go_back = False
    swap.receipt.drained = in_flight - in_flight_of(old)
    if swap.go_back.is_set():
        trouble = trouble or GOES_BACK
    return trouble


async def _revert(swap: Swap, old: Slot, candidate: Slot, trouble: str) -> Result:
    """Traffic goes back to the old release at once; then the new one is cleared away."""
    site, now = swap.site, trio.current_time()
    site.slots.go_live(old)
    old.supervise()
    backends = candidate.backends
    settings = evolve(swap.settings.swap, stream_timeout=Seconds(SOON))  # They should not stay.
    site.retirement.begin(candidate, settings, swap.receipt, switched_at=now)
    with trio.move_on_after(LAST_WORDS):
        for backend in backends:
            if not backend.is_alive:
                await backend.process.gone.wait()
    return swap.reverted(trouble, output_of(backends))
