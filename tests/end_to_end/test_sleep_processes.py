"""`[processes]` of a site that sleeps: they sleep, too, or run on; schedules always run."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from tests.support.site import RealSite
from tests.support.sleeping import SOON, is_asleep, sleeping, until_asleep
from tests.waiting import until

MakeSite = Callable[..., RealSite]
pytestmark = pytest.mark.long

WORKER = (Path(__file__).parents[1] / "apps" / "worker.py").read_text()
COMMAND = {"command": [sys.executable, "-S", "worker.py"]}
FILES = {"worker.py": WORKER, "worker.json": "{}"}


async def worker_states(site: RealSite) -> list[str]:
    (worker,) = (await site.status())["processes"]
    return [one["state"] for one in worker["instances"]]


async def test_processes_sleep_and_wake_with_their_site(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, processes={"worker": COMMAND})
    async with sleeping(site, FILES):
        await until("the worker has stopped", lambda: site.processes() == [])

        async def none_is_left() -> bool:
            return await worker_states(site) == []

        await until("it is gone", none_is_left)
        refused = await site.cli("restart", "--process", "worker")
        assert "asleep" in refused.err
        assert (await site.get("/")).status == 200
        await until("it runs again", lambda: len(site.journal("worker start")) == 2)
        await until_asleep(site)
        await until("the worker has stopped", lambda: site.processes() == [])


async def test_processes_that_are_to_run_do_while_their_site_is_asleep(
    make_site: MakeSite,
) -> None:
    site = make_site(idle={**SOON, "processes": "run"}, processes={"worker": COMMAND})
    async with sleeping(site, FILES):
        assert await worker_states(site) == ["running"]
        assert len(site.processes()) == 1
        assert (await site.get("/")).status == 200
        await until_asleep(site)
        assert len(site.journal("worker start")) == 1
        site.configure(idle={"processes": "stop"})
        assert (await site.cli("reload")).code == 0
        await until("the worker has stopped", lambda: site.processes() == [])
        site.configure(idle={"processes": "run"})
        assert (await site.cli("reload")).code == 0
        await until("it runs again", lambda: len(site.journal("worker start")) == 2)
        assert await is_asleep(site)
    async with site.running(wait_for="asleep"):
        await until("it runs after a restart", lambda: len(site.journal("worker start")) == 3)
        assert len(site.journal("start")) == 2


@pytest.mark.parametrize("idle", [SOON, {**SOON, "processes": "run"}])
async def test_processes_run_once_their_site_may_not_sleep_any_more(
    make_site: MakeSite, idle: dict[str, str]
) -> None:
    site = make_site(idle=idle, processes={"worker": COMMAND})
    async with sleeping(site, FILES):
        site.configure(idle={"after": None, "processes": None})
        assert (await site.cli("reload")).code == 0
        await site.until_phase("serving")
        await until("the worker runs", lambda: site.processes() != [])
        assert await worker_states(site) == ["running"]
        restarted = await site.cli("restart", "--process", "worker")
        assert restarted.code == 0
        assert await worker_states(site) == ["running"]


async def test_a_schedule_runs_while_its_site_is_asleep(make_site: MakeSite) -> None:
    ran = 'echo "$BLUE_GREEN_REVISION" >>"$JOURNAL.runs"'
    job = {"command": ["sh", "-c", ran], "schedule": "* * * * *"}
    site = make_site(idle=SOON, processes={"job": job})
    one = site.commit("one")
    runs = site.journal_file.with_name(f"{site.journal_file.name}.runs")
    async with site.running(wait_for="asleep"):
        await until_asleep(site)
    # A run that was missed just before the start is due at once.
    state = site.remembered()
    state["schedules"]["job"]["passed"] = time.time() - 120
    (site.state / "state.toml").write_text(tomli_w.dumps(state))
    before = len(runs.read_text().splitlines()) if runs.exists() else 0
    async with site.running(wait_for="asleep"):
        await until("it has run", lambda: len(runs.read_text().splitlines()) > before)
        assert await is_asleep(site)
        assert len(site.journal("start")) == 1
        assert set(runs.read_text().split()) == {one}
