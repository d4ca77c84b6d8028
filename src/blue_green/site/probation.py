"""A backend on trial: whether it becomes healthy, warms up, and stays well.

Nobody waits for a time limit to learn that a process is dead.
"""

from collections.abc import Awaitable, Callable, Iterable

import trio

from blue_green.config.settings import Settings
from blue_green.config.site_settings import HealthSettings
from blue_green.site import health
from blue_green.site.backend import Backend, check_is_free
from blue_green.site.unhealthy import Forget, until_unhealthy
from blue_green.source.failure import MachineFault, StepFailed

TO_END = 0.25
"""Seconds for an end to be seen that breaks a connection first: then it is the reason to tell."""


async def until_healthy(backend: Backend, settings: HealthSettings) -> None:
    """Wait until its probes are good; raise `StepFailed` when it ends, or takes too long."""

    async def test(host: str, port: int, settings: HealthSettings) -> None:
        try:
            await health.until_healthy(
                host, port, settings, backend.look_at_port, backend.probe_log_filter
            )
        except health.NotListening as failure:
            raise StepFailed(f"{failure}; {await backend.where_it_listens()}") from None

    await _pass(test, backend, settings)
    backend.is_up = True


async def warm_up(backend: Backend, settings: HealthSettings) -> None:
    """Fetch its `warmup` paths; raise `StepFailed` when one fails, or the backend ends."""
    await _pass(health.warm_up, backend, settings)


async def all_pass(
    test: Callable[[Backend, HealthSettings], Awaitable[None]],
    backends: Iterable[Backend],
    settings: HealthSettings,
) -> None:
    """Put them all to one of these tests; raise `StepFailed` as soon as one fails it."""
    failures: list[StepFailed] = []
    async with trio.open_nursery() as nursery:

        async def stand(backend: Backend) -> None:
            try:
                await test(backend, settings)
            except StepFailed as failure:
                failures.append(failure)
                nursery.cancel_scope.cancel()

        for backend in backends:
            nursery.start_soon(stand, backend)
    if failures:
        raise failures[0]


async def first_failure(backends: Iterable[Backend], settings: Settings, forget: Forget) -> str:
    """Wait until one of them ends, or is unhealthy; say which way."""
    found: list[str] = []
    async with trio.open_nursery() as nursery:

        async def watch(backend: Backend) -> None:
            found.append(await _trouble(backend, settings, forget))
            nursery.cancel_scope.cancel()

        for backend in backends:
            nursery.start_soon(watch, backend)
    return found[0]


async def _trouble(backend: Backend, settings: Settings, forget: Forget) -> str:
    why = ""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal why
            why = await until_unhealthy(
                backend.target, lambda: settings, forget, backend.probe_log_filter
            )
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        usurped = await backend.until_lost(lambda: settings.health.interval)
        why = why or usurped
        nursery.cancel_scope.cancel()
    return why or f"the app {backend.ending}"


async def _pass(
    test: Callable[[str, int, HealthSettings], Awaitable[None]],
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
            await test(backend.target.host, backend.target.port, settings)
        except StepFailed as failed:
            failure = failed
            await trio.sleep(TO_END)
        nursery.cancel_scope.cancel()
    if not backend.is_alive:
        await backend.process.gone.wait()
        why = f"the app {backend.ending} before it was healthy"
        try:
            check_is_free(backend.target.port)
        except MachineFault as taken:
            raise type(taken)(f"{why}; {taken}", backend.output) from None
        raise StepFailed(why, backend.output)
    if failure:
        raise type(failure)(str(failure), backend.output)
