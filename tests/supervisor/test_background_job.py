"""What a signal has requested is done in the background."""

import logging

import pytest
import trio

from blue_green.supervisor.background_job import BackgroundJob


async def test_a_job_that_fails_is_logged_and_may_be_requested_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs: list[int] = []

    async def fail_at_first() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise OSError("unexpected")

    job = BackgroundJob(fail_at_first)
    with caplog.at_level(logging.ERROR):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.run)
            for number in (1, 2):
                job.request()
                await trio.testing.wait_all_tasks_blocked()
                assert len(runs) == number
            nursery.cancel_scope.cancel()
    assert "unexpected" in caplog.text
