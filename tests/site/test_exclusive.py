"""`strategy = "exclusive"`: never two releases at once, and no waiting request is lost."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

MIGRATE = """
import fcntl, os, sys
lock = open(os.environ["LOCK"], "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit("the app still runs")
with open(os.environ["LOCK"] + ".migrated", "a") as file:
    file.write(os.environ["BLUE_GREEN_REVISION"] + "\\n")
sys.exit("the column is there already" if os.path.exists("broken-migration") else 0)
"""


@pytest.fixture
def make_exclusive(make_site: MakeSite, tmp_path: Path) -> MakeSite:
    """A site whose app takes a lock, and ends if another one has it."""

    def make(**sections: dict[str, Any]) -> RealSite:
        site = make_site(
            app={"env": {"LOCK": str(tmp_path / "lock")}}, swap={"strategy": "exclusive"}
        )
        site.configure(**sections)
        return site

    return make


def ran_one_at_a_time(site: RealSite) -> bool:
    return site.journal("overlap") == []


async def held(site: RealSite) -> bool:
    return bool((await site.status())["held"])


async def test_requests_wait_for_the_new_release_which_answers_them(
    make_exclusive: MakeSite,
) -> None:
    site = make_exclusive()
    site.commit("old")
    async with site.running(), site.steady_load() as texts:
        new = site.commit("new", start_delay=0.4)
        answers: list[str] = []

        async def ask(method: str) -> None:
            answer = await (site.get("/held") if method == "GET" else site.post("/held", b"all"))
            answers.append(answer.json()["text"] + answer.json()["body"])

        async with trio.open_nursery() as nursery:
            await until("requests are held", lambda: held(site))
            nursery.start_soon(ask, "GET")
            nursery.start_soon(ask, "POST")
        assert sorted(answers) == ["new", "newall"]
        receipt = (await site.until_live(new))["last_swap"]
        assert receipt["held"] >= 2
        assert receipt["longest_hold"] >= 0.4
        assert (receipt["outcome"], receipt["failed"], receipt["cut"]) == ("promoted", 0, 0)
        assert texts == sorted(texts, reverse=True), "an answer of the old came after the new"
    assert ran_one_at_a_time(site)
    assert len([r for r in site.journal() if r["method"] == "POST"]) == 1


@pytest.mark.parametrize(
    ("behaviour", "files", "outcome", "reason"),
    [
        pytest.param(
            {"raises": "no"}, {}, "failed",
            "the app ended with exit status 1 before it was healthy",
            id="that exits",
        ),
        pytest.param(
            {"health_status": 500}, {}, "failed",
            "not healthy within 3 s: GET /healthz was answered 500",
            id="that is unhealthy",
        ),
        pytest.param(
            {}, {"broken-migration": ""}, "failed",
            "migrate ended with exit status 1",
            id="whose migration fails",
        ),
        pytest.param(
            {"healthy_for": 1}, {}, "reverted",
            "the app ended with exit status 7",
            id="that dies in its soak",
        ),
    ],
)  # fmt: skip
async def test_a_failed_candidate_brings_the_old_release_back(
    make_exclusive: MakeSite,
    behaviour: dict[str, Any],
    files: dict[str, str],
    outcome: str,
    reason: str,
) -> None:
    site = make_exclusive(
        health={"start_timeout": "3s"},
        swap={"soak": "400ms"},
        release={"migrate": [sys.executable, "migrate.py"]},
    )
    good = site.commit("good", {"migrate.py": MIGRATE})
    async with site.running(), site.steady_load() as texts:
        bad = site.draft("bad", files, **behaviour)
        done = await site.cli("swap", bad, "--json")
        receipt = json.loads(done.out)
        assert (done.code, receipt["outcome"], receipt["reason"]) == (1, outcome, reason), receipt
        assert receipt["held"] > 0
        assert receipt["output"] or outcome == "failed"
        status = await site.until_live(good)
        assert status["quarantined"] == {bad: reason}
        since = len(texts)
        await until("traffic goes on", lambda: len(texts) > since + 10)
        assert set(texts[since:]) == {"good"}
        await site.until_only_run(status["live"]["pids"])
        (site.checkout / "broken-migration").unlink(missing_ok=True)
        await site.until_live(site.commit("better"))
    assert ran_one_at_a_time(site)


async def test_the_old_release_is_not_stopped_if_the_environment_of_the_new_one_cannot_be_read(
    make_exclusive: MakeSite,
) -> None:
    site = make_exclusive(app={"env_file": ["secrets.env"]})
    secrets = site.directory / "secrets.env"
    secrets.write_text("TOKEN=hunter1")
    site.commit("old")
    async with site.running():
        before = (await site.status())["live"]
        secrets.write_text("TOKEN hunter2")
        done = await site.cli("restart")
        assert (done.code, "line 1: is not NAME=value" in done.out) == (1, True)
        assert (await site.status())["live"]["pids"] == before["pids"]
        assert (await site.get("/")).json()["text"] == "old"


async def test_a_request_that_takes_too_long_cancels_the_swap(make_exclusive: MakeSite) -> None:
    site = make_exclusive(swap={"drain_timeout": "300ms", "overdue": "call-off"})
    site.put_up("request", site.commit("old"))
    async with site.running():
        before = (await site.status())["live"]
        texts: list[str] = []

        async def ask() -> None:
            texts.append((await site.get("/wait")).json()["text"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until("it is in flight", site.journal)
            done = await site.cli("swap", site.draft("new"))
            assert done.code == 1
            assert "1 request was still in flight after 0.3 s" in done.out
            status = await site.status()
            assert (status["live"], status["quarantined"]) == (before, {})
            assert (await site.get("/")).json()["text"] == "old"
            assert texts == []
            site.take_down_barriers()
        assert texts == ["old"]


async def test_migrate_runs_while_nothing_else_does(
    make_exclusive: MakeSite, tmp_path: Path
) -> None:
    site = make_exclusive(release={"migrate": [sys.executable, "migrate.py"]})
    site.commit("one", {"migrate.py": MIGRATE})
    async with site.running(), site.steady_load():
        two = site.commit("two")
        assert "migrate" in (await site.until_live(two))["last_swap"]["seconds"]
    assert two in (tmp_path / "lock.migrated").read_text().split()
    assert ran_one_at_a_time(site)


async def test_migrate_runs_before_the_first_release_too(
    make_exclusive: MakeSite, tmp_path: Path
) -> None:
    site = make_exclusive(release={"migrate": [sys.executable, "migrate.py"]})
    one = site.commit("one", {"migrate.py": MIGRATE})
    async with site.running():
        assert (await site.get("/")).json()["revision"] == one
    migrated = tmp_path / "lock.migrated"
    assert migrated.exists(), "migrate was not run"
    assert migrated.read_text().split() == [one]


async def test_a_live_release_that_hangs_with_requests_in_it_is_replaced(
    make_exclusive: MakeSite,
) -> None:
    """Waiting until it has finished them would be waiting for what it cannot do."""
    site = make_exclusive(
        health={"timeout": "500ms"},
        swap={"drain_timeout": "500ms"},
        app={"stop_timeout": "500ms"},
        proxy={"response_timeout": "1s"},
    )
    site.commit("old")
    async with site.running():
        (before,) = (await site.status())["live"]["pids"]

        async def replaced() -> bool:
            live = (await site.status())["live"]["pids"]
            return bool(live) and live != [before]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/hang-for-ever")
            await until("it is in flight", site.journal)
            await until("it is replaced", replaced)
            nursery.cancel_scope.cancel()
        assert (await site.get("/")).status == 200
    assert ran_one_at_a_time(site)
