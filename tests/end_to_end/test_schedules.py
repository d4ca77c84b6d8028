"""Processes with a schedule, in real sites: they run on time, and once."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

EACH_MINUTE = "* * * * *"
JOB = """\
echo begin "$BLUE_GREEN_REVISION" >>"$JOBS"
echo "the job works"
while [ -e "$JOBS.wait" ]; do sleep 0.02; done
echo end "$BLUE_GREEN_REVISION" >>"$JOBS"
exit $(cat code)
"""


class JobSite:
    """A site with a job that waits until it is let go, and what the job wrote down."""

    def __init__(self, site: RealSite, **job: Any) -> None:
        self.site = site
        self.jobs = site.directory / "jobs"
        self.barrier = Path(f"{self.jobs}.wait")
        self.events = site.directory / "events"
        schedule = {"command": ["sh", "job.sh"], "schedule": EACH_MINUTE, "stop_timeout": "20s"}
        site.configure(
            app={"env": {"JOBS": str(self.jobs)}},
            processes={"job": {**schedule, **job}},
            notify={"command": ["sh", "-c", f"cat >>{self.events}"]},
        )

    def commit(self, text: str, code: int = 0) -> str:
        """Commit a release whose job ends with this exit status."""
        return self.site.commit(text, {"job.sh": JOB, "code": str(code)})

    def make_due(self) -> None:
        """Let the first run be one that was missed just before the start."""
        record = {"schedule": EACH_MINUTE, "passed": time.time() - 120}
        self.site.state.mkdir(exist_ok=True)
        state = {"version": 1, "schedules": {"job": record}}
        (self.site.state / "state.toml").write_text(tomli_w.dumps(state))

    def hold(self) -> None:
        """Let a run that begins from now on last until `let_go`."""
        self.barrier.touch()

    def let_go(self) -> None:
        self.barrier.unlink()

    def noted(self, word: str) -> list[str]:
        """The revisions of the runs that noted this."""
        lines = self.jobs.read_text().splitlines() if self.jobs.exists() else []
        return [line.split()[1] for line in lines if line.startswith(word)]

    async def until_noted(self, word: str, count: int = 1) -> None:
        await until(f"{count} times {word}", lambda: len(self.noted(word)) >= count, timeout=80)

    async def job(self) -> dict[str, Any]:
        """The job in the status."""
        (job,) = (await self.site.status())["processes"]
        return dict(job)

    async def until_last_run(self, outcome: str) -> dict[str, Any]:
        """Wait until the last run has ended so."""

        async def last_run() -> dict[str, Any] | None:
            last = (await self.job())["last_run"]
            return last if last and last["outcome"] == outcome else None

        return dict(await until(f"a run is {outcome}", last_run))


async def test_a_run_that_was_missed_comes_at_the_start_and_is_shown(make_site: MakeSite) -> None:
    job = JobSite(make_site())
    job.make_due()
    job.hold()
    live = job.commit("hello")
    async with job.site.running():
        await job.until_noted("begin")
        status = await job.job()
        assert [one["state"] for one in status["instances"]] == ["running"]
        assert status["last_run"]["outcome"] is None
        job.let_go()
        last = await job.until_last_run("ok")
        assert (last["revision"], last["reason"]) == (live, "")
        status = await job.job()
        assert 0 <= datetime.fromisoformat(status["next_run"]).timestamp() - time.time() + 1 <= 61
        assert "the job works" in (await job.site.cli("logs", "job")).out
        assert "job: next run" in (await job.site.cli("status")).out
    assert job.site.remembered()["schedules"]["job"]["outcome"] == "ok"


async def test_a_failed_run_is_reported_and_changes_nothing_else(make_site: MakeSite) -> None:
    job = JobSite(make_site())
    job.make_due()
    live = job.commit("hello", code=3)
    async with job.site.running():
        await job.until_last_run("failed")
        status = await job.site.status()
        assert status["live"]["revision"] == live
        (problem,) = status["process_problems"]
        assert problem == "the last run of process job has failed: ended with exit status 3"
        await until("it is reported", lambda: '"event": "run"' in job.events.read_text())
    events = [json.loads(line) for line in job.events.read_text().splitlines()]
    (event,) = [one for one in events if one["event"] == "run"]
    assert (event["process"], event["outcome"], event["revision"]) == ("job", "failed", live)
    assert event["output"] == ["the job works"]


@pytest.mark.long
async def test_a_run_goes_on_during_an_upgrade_in_place_and_is_not_repeated(
    make_site: MakeSite,
) -> None:
    job = JobSite(make_site())
    job.make_due()
    job.hold()
    only = job.commit("hello")
    async with job.site.running():
        await job.until_noted("begin")
        before = (await job.job())["instances"][0]["pid"]
        for _ in range(2):
            done = await job.site.cli("upgrade")
            assert done.code == 0, done
        assert (await job.job())["instances"][0]["pid"] == before
        job.let_go()
        await job.until_last_run("ok")
        assert (job.noted("begin"), job.noted("end")) == ([only], [only])


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_run_may_finish_after_an_overlapping_swap_and_ends_with_an_exclusive_one(
    make_site: MakeSite, strategy: str
) -> None:
    job = JobSite(make_site(swap={"strategy": strategy}))
    job.make_due()
    job.hold()
    old = job.commit("old")
    async with job.site.running():
        await job.until_noted("begin")
        new = job.commit("new")
        await job.site.until_live(new)
        if strategy == "exclusive":
            assert (await job.job())["last_run"]["outcome"] == "stopped"
            job.let_go()
        else:
            states = [one["state"] for one in (await job.job())["instances"]]
            assert states == ["stopping", "waiting"]
            job.let_go()
            await job.until_last_run("ok")
            assert job.noted("end") == [old]
        await job.until_noted("begin", 2)
        assert job.noted("begin") == [old, new]


@pytest.mark.long
async def test_it_runs_once_each_minute_over_deploys_and_a_restart(make_site: MakeSite) -> None:
    job = JobSite(make_site())
    job.commit("first")
    began = time.time()
    async with job.site.running():
        for number in range(4):
            await job.site.until_live(job.commit(f"deploy {number}"))
        await job.until_noted("end")
        await job.site.until_live(job.commit("another"))
    async with job.site.running():
        await job.until_noted("end", 2)
    minutes = int(time.time() // 60) - int(began // 60)
    assert minutes - 1 <= len(job.noted("begin")) <= minutes
    assert job.noted("begin") == job.noted("end")
