"""Failures that are not the revision's fault are retried, without a quarantine."""

import errno
import json
import socket
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from blue_green.site.retry import delay_after
from blue_green.source import failure
from blue_green.source.failure import MachineFault, StepFailed
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

FAULTY = """
import sys
from pathlib import Path
from typing import Any
from blue_green import cli
from blue_green.site import probation
marker, healthy = Path(sys.argv.pop(1)), probation.until_healthy
async def until_healthy(backend, settings):
    await healthy(backend, settings)
    if marker.exists() and backend.target.slot == "green":
        raise ZeroDivisionError("a mistake")
probation.until_healthy = until_healthy
sys.exit(cli.main())
"""
"""A supervisor with a mistake of its own, as long as a file is there."""


def test_the_delay_grows_up_to_ten_minutes() -> None:
    delays = [delay_after(failures) for failures in range(1, 14)]
    assert delays[:4] == [2, 4, 8, 16]
    assert delays[-4:] == [600] * 4
    assert delay_after(5000) == 600


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE])
def test_a_system_error_about_room_is_the_machines_fault(number: int) -> None:
    assert isinstance(failure.from_errno("no", number), MachineFault)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, None])
def test_any_other_system_error_is_the_revisions_fault(number: int | None) -> None:
    assert not isinstance(failure.from_errno("no", number), MachineFault)


@pytest.mark.parametrize(
    ("line", "is_full"),
    [
        ("OSError: [Errno 28] No space left on device: 'x'", True),
        ("npm ERR! code ENOSPC", True),
        ("sqlite3.OperationalError: database or disk is full", True),
        ("SyntaxError: invalid syntax", False),
    ],
)
def test_output_that_reports_a_full_disk_is_believed(line: str, is_full: bool) -> None:
    judged = failure.classify(StepFailed("build ended with exit status 1", [line]), ())
    assert isinstance(judged, MachineFault) == is_full


def test_a_disk_with_room_or_a_missing_one_proves_nothing(tmp_path: Path) -> None:
    failed = StepFailed("build ended with exit status 1")
    assert failure.classify(failed, [tmp_path, tmp_path / "nowhere"]) is failed


async def until_waiting(site: RealSite, revision: str, seconds: float) -> dict[str, Any]:
    """Wait until this revision has failed, and is to be tried again after so long; the status."""

    async def look() -> Any:
        status = await site.status()
        last = status["last_swap"]
        fits = (last["revision"], last["retry_in"]) == (revision, seconds)
        return status if fits and status["why"].startswith("retrying in ") else None

    seen: dict[str, Any] = await until(f"{revision[:7]} waits to be tried again", look)
    return seen


def outcomes(notified: Path) -> list[str]:
    lines = [line for line in notified.read_text().split("\n") if line.endswith("}")]
    return [json.loads(line)["outcome"] for line in lines]


async def test_a_taken_port_is_retried_until_it_is_free(make_site: MakeSite) -> None:
    site = make_site()
    notified = site.directory / "notified"
    site.configure(notify={"command": ["sh", "-c", f"cat >>{notified}; echo >>{notified}"]})
    site.commit("one")
    async with site.running(), site.steady_load():
        with socket.socket() as other_program:
            other_program.bind(("127.0.0.1", site.green))
            other_program.listen()
            two = site.commit("two")
            status = await until_waiting(site, two, 4)
            assert (status["quarantined"], status["wanted"]) == ({}, two)
            assert f"port {site.green} is taken" in status["why"]
            failed = [last for last in status["last_swaps"] if last["revision"] == two]
            assert {last["outcome"] for last in failed} == {"failed"}
            # On a slow machine there is no time to find out each time who has the port.
            reasons = [last["reason"] for last in failed]
            assert len(reasons) == len(set(reasons)), "the same failure is remembered once"
        await site.until_live(two)
        assert (await site.status())["why"] == ""
        ends = ["promoted", "failed", "promoted"]
        await until(
            "it is notified", lambda: [end for end, _ in groupby(outcomes(notified))] == ends
        )


async def test_a_revision_that_waits_for_a_retry_gives_way_to_a_newer_commit(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"build": ["sh", "build.sh"]})
    site.commit("one", {"build.sh": "true"})
    async with site.running(), site.steady_load():
        two = site.commit("two", {"build.sh": "cat build.sh >/dev/full"})
        status = await until_waiting(site, two, 4)
        assert "a disk is full: build ended with exit status" in status["why"]
        three = site.commit("three", {"build.sh": "true"})
        status = await site.until_live(three)
        assert (status["quarantined"], status["why"]) == ({}, "")
        done = await site.cli("swap", two)
        assert done.code == 1
        assert "not in quarantine: next attempt in 2 s" in done.out
        assert (await site.cli("rollback")).code == 0
        status = await site.status()
        assert status["wanted"] == status["live"]["revision"] not in (two, three)


async def test_a_revision_that_waits_for_a_retry_is_deployed_after_a_restart(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    with socket.socket() as other_program:
        async with site.running():
            other_program.bind(("127.0.0.1", site.green))
            other_program.listen()
            two = site.commit("two")
            await site.until_logged("retrying in")
    async with site.running():
        await site.until_live(two)


@pytest.mark.parametrize("strategy", ["overlap", pytest.param("exclusive", marks=pytest.mark.long)])
async def test_an_unhandled_exception_costs_neither_the_site_nor_the_revision(
    make_site: MakeSite, tmp_path: Path, strategy: str
) -> None:
    marker = tmp_path / "mistaken"
    site = make_site(swap={"strategy": strategy})
    site.program = ["-c", FAULTY, str(marker)]
    one = site.commit("one")
    async with site.running(), site.steady_load():
        marker.touch()
        two = site.commit("two")
        status = await until_waiting(site, two, 2)
        assert (status["live"]["revision"], status["quarantined"]) == (one, {})
        assert "internal error: " in status["why"]
        assert "ZeroDivisionError('a mistake')" in status["why"]
        marker.unlink()
        await site.until_live(two)
