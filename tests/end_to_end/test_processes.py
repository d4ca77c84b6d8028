"""`[processes]` of real sites: workers start, hand over, fail and end with their releases."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.http_client import Answer
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

WORKER = (Path(__file__).parents[1] / "apps" / "worker.py").read_text()


class WorkerSite:
    """A site with workers, and what they wrote down."""

    def __init__(self, site: RealSite, *, soak: str = "300ms", **worker: Any) -> None:
        self.site = site
        command = [sys.executable, "-S", "worker.py"]
        site.configure(
            processes={"worker": {"command": command, "stop_timeout": "20s", **worker}},
            swap={"soak": soak},
        )

    def commit(self, text: str, **behaviour: Any) -> str:
        """Commit a release whose worker behaves so."""
        json = str(behaviour).replace("'", '"').replace("True", "true")
        files = {"worker.py": WORKER, "worker.json": json}
        return self.site.commit(text, files)

    def noted(self, kind: str) -> list[tuple[str, str]]:
        """The revision and the number of each worker that noted this."""
        return [
            (line["revision"], line["instance"]) for line in self.site.journal(f"worker {kind}")
        ]

    async def until_noted(self, kind: str, count: int) -> None:
        await until(f"{count} times {kind}", lambda: len(self.noted(kind)) >= count)

    def pids(self) -> dict[str, int]:
        """The pid of the newest worker with each number."""
        return {line["instance"]: line["pid"] for line in self.site.journal("worker start")}

    def ran_one_at_a_time(self) -> bool:
        return self.noted("overlap") == []


@pytest.fixture
def make(make_site: MakeSite) -> Callable[..., WorkerSite]:
    return lambda **settings: WorkerSite(make_site(), **settings)


Make = Callable[..., WorkerSite]


async def test_workers_start_with_the_switch_when_the_old_ones_have_finished_their_work(
    make: Make,
) -> None:
    workers = make(count=2)
    site = workers.site
    old = workers.commit("old", takes=0.5)
    async with site.running():
        await workers.until_noted("start", 2)
        async with site.steady_load():
            new = workers.commit("new")
            receipt = (await site.until_live(new))["last_swap"]
        assert receipt["outcome"] == "promoted"
        assert 0.3 <= receipt["seconds"]["hand over"] < 20, "it was not killed"
        assert receipt["seconds"]["soak"] >= 0.25, "they have been watched for that time"
        assert sorted(workers.noted("start")) == sorted(
            [(old, "1"), (old, "2"), (new, "1"), (new, "2")]
        )
        assert sorted(workers.noted("end")) == [(old, "1"), (old, "2")]
        assert f"worker.2 {new[:7]}" in site.log()
    assert workers.ran_one_at_a_time()
    assert len(workers.noted("end")) == 4


async def test_a_worker_that_dies_in_the_soak_takes_the_release_back(make: Make) -> None:
    workers = make(soak="2s")
    site = workers.site
    old = workers.commit("old")
    async with site.running(), site.steady_load():
        await workers.until_noted("start", 1)
        new = workers.commit("new", dies=0.1)
        await until("it is reverted", lambda: "swap" in site.log() and "reverted" in site.log())
        status = await site.until_live(old)
        receipt = status["last_swap"]
        assert (receipt["outcome"], receipt["revision"]) == ("reverted", new)
        assert receipt["reason"] == "process worker ended with exit status 3"
        assert receipt["output"][-1] == "the worker cannot find its queue"
        assert new in status["quarantined"]
        await workers.until_noted("start", 3)
        assert [revision for revision, _ in workers.noted("start")] == [old, new, old]
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_worker_that_dies_of_a_full_disk_does_not_put_the_revision_in_quarantine(
    make: Make,
) -> None:
    workers = make(soak="2s")
    site = workers.site
    workers.commit("old")
    async with site.running():
        await workers.until_noted("start", 1)
        new = workers.commit("new", dies=0.1, says="OSError: [Errno 28] No space left on device")
        await site.until_logged("reverted")
        status = await site.status()
        receipt = status["last_swap"]
        assert (receipt["outcome"], receipt["revision"]) == ("reverted", new)
        assert receipt["reason"] == "a disk is full: process worker ended with exit status 3"
        assert receipt["retry_in"], "it is tried again"
        assert status["quarantined"] == {}


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
@pytest.mark.parametrize("handover", ["overlap", "exclusive"])
async def test_five_deploys_in_a_row_leave_one_set_of_workers(
    make: Make, strategy: str, handover: str
) -> None:
    workers = make(count=2, handover=handover)
    site = workers.site
    site.configure(swap={"strategy": strategy})
    workers.commit("first", takes=0.3, child=True)
    async with site.running():
        await workers.until_noted("start", 2)
        for number in range(5):
            new = workers.commit(f"deploy {number}", takes=0.3, child=True)
            await site.until_live(new)
        await workers.until_noted("start", 12)
        await workers.until_noted("end", 10)
        started, ended = workers.noted("start"), workers.noted("end")
        assert sorted(started) == sorted([*ended, (new, "1"), (new, "2")])
    assert workers.noted("lost its child") == []
    if handover == "exclusive" or strategy == "exclusive":
        assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_worker_that_dies_takes_an_exclusive_swap_back(make: Make) -> None:
    workers = make(soak="2s")
    site = workers.site
    site.configure(swap={"strategy": "exclusive"})
    old = workers.commit("old")
    async with site.running(), site.steady_load():
        await workers.until_noted("start", 1)
        new = workers.commit("new", dies=0.1)
        await site.until_logged("reverted")
        receipt = (await site.until_live(old))["last_swap"]
        assert receipt["reason"] == "process worker ended with exit status 3"
        assert receipt["output"][-1] == "the worker cannot find its queue"
        await workers.until_noted("start", 3)
        assert [revision for revision, _ in workers.noted("start")] == [old, new, old]
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_requests_are_finished_when_a_worker_takes_an_exclusive_swap_back(make: Make) -> None:
    workers = make(soak="30s")
    site = workers.site
    site.configure(swap={"strategy": "exclusive"})
    old = workers.commit("old")
    released = site.directory / "released"
    answers: list[Answer] = []

    async def post() -> None:
        answers.append(await site.post(f"/until={released}", b"work"))

    async with site.running():
        await workers.until_noted("start", 1)
        new = workers.commit("new")
        await workers.until_noted("start", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post)
            await until("it is in flight", lambda: site.journal("request"))
            os.kill(workers.pids()["1"], signal.SIGKILL)
            await site.until_logged(f"swap {new[:7]}: soak ")
            released.touch()
        assert (answers[0].status, answers[0].json()["revision"]) == (200, new)
        assert (await site.until_live(old))["last_swap"]["outcome"] == "reverted"


@pytest.mark.long
async def test_a_command_that_does_not_exist_takes_the_release_back(make: Make) -> None:
    workers = make(soak="2s", command=["./work"])
    site = workers.site
    old = site.commit("old", {"work": "#!/bin/sh\nexec sleep 600\n"})
    (site.checkout / "work").chmod(0o755)
    old = site.commit("old", {"work": "#!/bin/sh\nexec sleep 600\n"})
    async with site.running():
        (site.checkout / "work").unlink()
        new = site.commit("new")
        await site.until_logged("reverted")
        receipt = (await site.until_live(old))["last_swap"]
        assert receipt["revision"] == new
        assert receipt["reason"].startswith("process worker: cannot start ./work: No such file")


@pytest.mark.long
async def test_a_daemon_is_no_worker(make: Make) -> None:
    """What it leaves in the background is ended with it."""
    workers = make(soak="2s")
    site = workers.site
    old = workers.commit("old")
    async with site.running():
        workers.commit("new", daemon=True)
        await site.until_logged("reverted")
        receipt = (await site.until_live(old))["last_swap"]
        assert receipt["reason"].startswith("process worker ended with exit status 0")
        again = [(old, "1")] * 2  # The daemon may or may not have come as far.
        await until("again", lambda: [x for x in workers.noted("start") if x == again[0]] == again)
        [backend] = (await site.status())["live"]["pids"]
        await site.until_only_run(sorted([backend, workers.pids()["1"]]))
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_live_worker_that_dies_is_started_again(make: Make) -> None:
    workers = make()
    workers.commit("only")
    async with workers.site.running():
        for number in range(1, 4):
            await workers.until_noted("start", number)
            os.kill(workers.pids()["1"], signal.SIGKILL)
        await workers.until_noted("start", 4)
        await workers.site.until_logged("process worker was killed by SIGKILL")


@pytest.mark.long  # The fault suite kills it, too.
async def test_after_a_kill_of_the_supervisor_old_workers_end_before_new_ones_start(
    make: Make,
) -> None:
    workers = make(count=2)
    site = workers.site
    workers.commit("only", takes=0.3)
    site.start()
    await workers.until_noted("start", 2)
    await site.until_phase("serving")
    assert await site.stop(signal.SIGKILL) == -signal.SIGKILL
    async with site.running():
        await workers.until_noted("start", 4)
        assert len(workers.noted("end")) == 2
    assert workers.ran_one_at_a_time()


async def test_an_upgrade_in_place_goes_on_with_the_workers(make: Make) -> None:
    workers = make(count=2)
    site = workers.site
    only = workers.commit("only", takes=0.2)
    async with site.running():
        await workers.until_noted("start", 2)
        before = workers.pids()
        done = await site.cli("upgrade")
        assert done.code == 0, done
        os.kill(before["1"], signal.SIGKILL)
        await workers.until_noted("start", 3)
        assert workers.noted("end") == []
        assert workers.pids()["2"] == before["2"]
        new = workers.commit("new")
        await site.until_live(new)
        assert sorted(workers.noted("end")) == [(only, "1"), (only, "2")]
    assert workers.ran_one_at_a_time()


@pytest.mark.long
@pytest.mark.parametrize("handover", ["overlap", "exclusive"])
async def test_an_upgrade_amid_a_handover_loses_and_doubles_none(make: Make, handover: str) -> None:
    """The old worker goes on with its work, is not signalled again, and ends in time."""
    workers = make(handover=handover, soak="100ms")
    site = workers.site
    old = workers.commit("old", takes=4)
    async with site.running():
        await workers.until_noted("start", 1)
        new = workers.commit("new")
        await workers.until_noted("signal", 1)
        newer = workers.commit("newer")  # The soak of the one before ends for it.
        await until("the newer one is live", lambda: f"swap {newer[:7]}: switch" in site.log())
        again = site.commit("even newer")
        await site.until_logged(f"swap {again[:7]}: switch")
        done = await site.cli("upgrade")
        assert done.code == 0, done
        await until("all has ended", lambda: (old, "1") in workers.noted("end"))
        await until("the last one runs", lambda: (again, "1") in workers.noted("start"))
        assert workers.noted("signal").count((old, "1")) == 1
        if handover == "exclusive":
            assert workers.noted("start") == [(old, "1"), (again, "1")]
            assert new
    if handover == "exclusive":
        assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_deaf_worker_is_killed_after_its_stop_timeout_and_no_fix_waits_for_it(
    make: Make,
) -> None:
    workers = make(stop_timeout="8s", soak="200ms")
    site = workers.site
    workers.commit("old", takes=600)
    async with site.running():
        await workers.until_noted("start", 1)
        began = trio.current_time()
        new = workers.commit("new")
        await site.until_logged(f"swap {new[:7]}: switch")
        fix = workers.commit("fix")
        await site.until_logged(f"swap {fix[:7]}: switch")
        assert "did not stop within" not in site.log()
        await site.until_live(fix)
        assert trio.current_time() - began >= 8
        await workers.until_noted("start", 2)
        assert [revision for revision, _ in workers.noted("start")][1] == fix
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_rollback_goes_back_at_once_while_old_workers_finish_their_work(
    make: Make,
) -> None:
    workers = make(soak="200ms")
    site = workers.site
    old = workers.commit("old", takes=4)
    async with site.running():
        await workers.until_noted("start", 1)
        new = workers.commit("new")

        async def is_handing_over() -> bool:
            swap = (await site.status())["swap"]
            return bool(swap and swap["phase"] == "hand over" and swap["phase_seconds"] > 0.3)

        await until("it is past the time of its soak", is_handing_over)
        assert (await site.cli("rollback")).code == 0
        assert (await site.status())["live"]["revision"] == old
        await workers.until_noted("start", 2)
        assert new not in [revision for revision, _ in workers.noted("start")]
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_an_exclusive_swap_serves_while_workers_finish_their_work(make: Make) -> None:
    workers = make()
    site = workers.site
    site.configure(swap={"strategy": "exclusive"})
    workers.commit("old", takes=3)
    async with site.running():
        await workers.until_noted("start", 1)
        new = workers.commit("new")
        await workers.until_noted("signal", 1)
        assert (await site.get("/")).json()["text"] == "old"
        receipt = (await site.until_live(new))["last_swap"]
        assert receipt["seconds"]["stop processes"] >= 2
        assert receipt["longest_hold"] < receipt["seconds"]["stop processes"]
    assert workers.ran_one_at_a_time()


@pytest.mark.long
async def test_a_fix_that_supersedes_an_exclusive_swap_starts_the_workers_again(
    make: Make,
) -> None:
    workers = make()
    site = workers.site
    site.configure(swap={"strategy": "exclusive"}, release={"build": ["sh", "build.sh"]})
    slow = {"build.sh": 'while [ -e "$BARRIERS/fix" ]; do sleep 0.02; done'}
    site.commit("none", slow)
    old = workers.commit("old", takes=1)
    async with site.running():
        await workers.until_noted("start", 1)
        workers.commit("new")
        await workers.until_noted("signal", 1)
        (site.barriers / "fix").touch()
        fix = workers.commit("fix")
        await workers.until_noted("start", 2)
        assert workers.noted("start") == [(old, "1"), (old, "1")]
        site.take_down_barriers()
        await site.until_live(fix)
        await workers.until_noted("start", 3)
    assert workers.noted("start")[-1] == (fix, "1")
    assert workers.ran_one_at_a_time()


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_workers_go_on_while_an_unhealthy_backend_is_replaced(
    make: Make, strategy: str
) -> None:
    """They may have long work in hand, and nothing is wrong with them."""
    workers = make(stop_timeout="30s")
    site = workers.site
    site.configure(swap={"strategy": strategy}, health={"fall": 2, "timeout": "300ms"})
    only = workers.commit("only", takes=25)
    async with site.running():
        await workers.until_noted("start", 1)
        [before] = (await site.status())["live"]["pids"]
        os.kill(before, signal.SIGSTOP)
        await site.until_logged(f"swap {only[:7]}: triggered by failing health probes")
        status = await site.until_live(only)
        assert status["last_swap"]["asked_by"] == "health"
        assert status["live"]["pids"] != [before]
        assert workers.noted("signal") == []
        os.kill(workers.pids()["1"], signal.SIGKILL)
        await workers.until_noted("start", 2)
        os.kill(workers.pids()["1"], signal.SIGKILL)


@pytest.mark.long
async def test_a_release_in_which_an_old_worker_runs_is_kept(make: Make) -> None:
    workers = make(handover="overlap", soak=0)
    site = workers.site
    site.configure(release={"keep": 1})
    old = workers.commit("old", takes=600)
    async with site.running():
        await workers.until_noted("start", 1)
        busy = workers.pids()["1"]
        for number in range(5):
            await site.until_live(workers.commit(f"deploy {number}"))
        assert f"deleted release {old[:12]}" not in site.log()
        assert "deleted release" in site.log()
        os.kill(busy, signal.SIGKILL)
