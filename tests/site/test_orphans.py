"""Processes that an earlier supervisor left behind are found and ended, and no others."""

import logging
import os
import signal
import subprocess
from pathlib import Path

import pytest
import trio

from blue_green.site.orphans import end_orphans
from blue_green.site.state import RecordedBackend
from blue_green.system import procfs
from tests.support.left_behind import DEAF, SLEEP, left_behind
from tests.waiting import PATIENCE


def remembered(popen: subprocess.Popen[bytes]) -> RecordedBackend:
    began = procfs.start_time(popen.pid)
    assert began is not None
    return RecordedBackend(popen.pid, began)


async def end(mark: str, *backends: RecordedBackend, timeout: float = PATIENCE) -> None:
    with trio.fail_after(2 * PATIENCE):
        await end_orphans(mark, list(backends), how=signal.SIGTERM, timeout=timeout)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"MARK={tmp_path}"


async def test_a_process_with_the_mark_gets_sigterm(mark: str) -> None:
    name, _, value = mark.partition("=")
    with left_behind(SLEEP, **{name: value}) as popen:
        await end(mark)
        assert popen.wait(PATIENCE) == -signal.SIGTERM


async def test_a_process_that_ignores_sigterm_is_killed(mark: str) -> None:
    name, _, value = mark.partition("=")
    with left_behind(DEAF, **{name: value}) as popen:
        await end(mark, timeout=0.2)
        assert procfs.pids_of_supervisor(mark) == [], "its port would still be taken"
        assert popen.wait(PATIENCE) == -signal.SIGKILL


async def test_a_remembered_process_without_the_mark_is_ended(mark: str) -> None:
    with left_behind(SLEEP) as popen:
        await end(mark, remembered(popen))
        assert popen.wait(PATIENCE) == -signal.SIGTERM


async def test_a_reused_pid_is_not_signalled(mark: str) -> None:
    with left_behind(SLEEP) as popen:
        other = remembered(popen)
        await end(mark, RecordedBackend(other.pid, other.began - 1), timeout=0.1)
        assert not procfs.send(signal.SIGKILL, other.pid, other.began - 1)
        assert popen.poll() is None
        assert procfs.send(signal.SIGTERM, other.pid, other.began)
        assert popen.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("variable", ["MARKED", "MARK"])
async def test_a_similar_mark_does_not_match(mark: str, variable: str) -> None:
    value = mark.partition("=")[2]
    with left_behind(SLEEP, **{variable: f"{value}/other"}) as popen:
        await end(mark, timeout=0.1)
        assert popen.poll() is None


async def test_a_zombie_is_not_waited_for(mark: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody reaps orphans in a container whose first process is not an init."""
    with left_behind(SLEEP) as popen:
        zombie = remembered(popen)
        popen.kill()
        os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        await end(mark, zombie, timeout=0.2)
    assert caplog.messages == []


async def test_without_orphans_nothing_is_logged(
    mark: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await end(mark, RecordedBackend(2**22 - 1, 5))
    assert caplog.messages == []
