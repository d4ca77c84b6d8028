"""Probation of a backend: it must become healthy, warm up, and stay healthy.

The death of its process ends each of these tests at once, before any time limit.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import HealthSettings
from blue_green.routing.lease import Target
from blue_green.site import health
from blue_green.site.backend import EXIT_TIMEOUT, Backend, check_is_free
from blue_green.site.unhealthy import Forget, until_unhealthy
from blue_green.source.failure import MachineFault, StepFailed


async def until_healthy(backend: Backend, settings: HealthSettings) -> None:
    """Wait until its probes succeed; raise `StepFailed` if it ends or takes too long."""

    async def test(target: Target, settings: HealthSettings) -> None:
        try:
            await health.until_healthy(
                target, settings, backend.check_port, backend.probe_log_filter
            )
        except health.NotListening as failure:
            where = await backend.describe_listening_sockets()
            raise StepFailed(f"{failure}; {where}") from None

    await _pass(test, backend, settings)
    backend.is_up = True


async def warm_up(backend: Backend, settings: HealthSettings) -> None:
    """Fetch its `warmup` paths; raise `StepFailed` if one fails, or the backend ends."""
    await _pass(health.warm_up, backend, settings)


async def all_pass(
    test: Callable[[Backend, HealthSettings], Awaitable[None]],
    backends: Iterable[Backend],
    settings: HealthSettings,
) -> None:
    """Run a test on all backends at once; raise `StepFailed` as soon as one fails."""
    failures: list[StepFailed] = []
    async with trio.open_nursery() as nursery:

        async def run(backend: Backend) -> None:
            try:
                await test(backend, settings)
            except StepFailed as failure:
                failures.append(failure)
                nursery.cancel_scope.cancel()

        for backend in backends:
            nursery.start_soon(run, backend)
    if failures:
        raise failures[0]


async def first_failure(
    backends: Sequence[Backend], settings: SiteSettings, forget: Forget, patience: float
) -> str:
    """Wait until one of the backends ends or is unhealthy; which of the two, in words.

    `patience` is as in `until_unhealthy`.
    """
    found: list[str] = []
    if not backends:  # A static site.
        await trio.sleep_forever()
    async with trio.open_nursery() as nursery:

        async def watch(backend: Backend) -> None:
            found.append(await _failure_of(backend, settings, forget, patience))
            nursery.cancel_scope.cancel()

        for backend in backends:
            nursery.start_soon(watch, backend)
    return found[0]


async def _failure_of(
    backend: Backend, settings: SiteSettings, forget: Forget, patience: float
) -> str:
    reason = ""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal reason
            reason = await until_unhealthy(
                backend.target, lambda: settings, forget, backend.probe_log_filter, patience
            )
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        conflict = await backend.until_lost(lambda: settings.health.interval)
        reason = reason or conflict
        nursery.cancel_scope.cancel()
    return reason or f"the app {backend.ending}"


async def _pass(
    test: Callable[[Target, HealthSettings], Awaitable[None]],
    backend: Backend,
    settings: HealthSettings,
) -> None:
    failure: StepFailed | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await backend.process.exited.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        try:
            await test(backend.target, settings)
        except StepFailed as failed:
            failure = failed
            await trio.sleep(EXIT_TIMEOUT)
        nursery.cancel_scope.cancel()
    if not backend.is_alive:
        await backend.process.gone.wait()
        why = f"the app {backend.ending} before it was healthy"
        try:
            check_is_free(backend.target.address)
        except MachineFault as taken:
            raise type(taken)(f"{why}; {taken}", backend.output) from None
        raise StepFailed(why, backend.output)
    if failure:
        raise type(failure)(str(failure), backend.output)
