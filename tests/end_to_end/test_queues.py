"""Real queues on a real Redis: no deploy loses a job, or runs one twice."""

import importlib.util
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support import queue_apps
from tests.support.redis_server import REDIS, redis_server, until_ready
from tests.support.site import RealSite
from tests.waiting import until

MISSING = [
    name for name in ("celery", "rq", "redis", "django") if not importlib.util.find_spec(name)
]
pytestmark = [
    pytest.mark.skipif(REDIS is None, reason="needs redis-server"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: see CONTRIBUTING.md"),
]

MakeSite = Callable[..., RealSite]

BIN = Path(sys.executable).parent
DEPLOYS = 5
PAUSE = 0.15
"""Seconds between two jobs."""
LONG_JOB = 2.0
LONG_EVERY = 10
"""One in so many jobs is long: a deploy never finds the workers idle."""
PATIENCE = 120.0
"""Seconds in which Celery starts on a machine that is busy, or the queue gets empty."""

GUNICORN = [
    str(BIN / "gunicorn"),
    "--bind",
    "127.0.0.1:{port}",
    "--threads",
    "4",
    "--log-level",
    "warning",
]
CELERY = [str(BIN / "celery"), "-A", "shop"]

WORKER = {"ROLE": "worker"}
BROKEN = """\
import os
if os.environ.get("ROLE") == "worker":
    raise SystemExit("there is no such queue")
"""


class Queue:
    """A site with a queue, its stream of jobs, and what became of them."""

    def __init__(self, site: RealSite, port: int, files: Mapping[str, str], wsgi: str) -> None:
        self.site = site
        self.files = files
        self.jobs = site.directory / "jobs"
        self.added: list[int] = []
        env = {"JOBS": str(self.jobs), "BROKER": f"redis://127.0.0.1:{port}/0"}
        site.configure(
            app={"command": [*GUNICORN, wsgi], "env": env, "stop_timeout": "20s"},
            health={"start_timeout": "60s"},
            swap={"soak": "1s", "drain_timeout": "20s"},
        )

    def commit(self, text: str, breaks: str = "") -> str:
        """Commit a release, in which a file `breaks` what imports or runs it as a worker."""
        files = dict(self.files)
        if breaks:
            files[breaks] = BROKEN + files[breaks]
        for name in files:
            (self.site.checkout / name).parent.mkdir(exist_ok=True)
        return self.site.commit(text, files)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Requests that each add a job, while the block lasts; then the queue gets empty."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._add_jobs)
            await until("jobs are done", lambda: self.noted("end"), timeout=PATIENCE)
            yield
            nursery.cancel_scope.cancel()
        await until("the queue is empty", lambda: not self.unfinished, timeout=PATIENCE)

    async def _add_jobs(self) -> None:
        for number in count():
            seconds = LONG_JOB if number % LONG_EVERY == 0 else 0.05
            with trio.CancelScope(
                shield=True
            ):  # Each added job is known, and each known one added.
                answer = await self.site.get(f"/add/{number}?seconds={seconds}")
                assert answer.status == 200, answer.body.decode()
                self.added.append(number)
            await trio.sleep(PAUSE)

    def noted(self, kind: str) -> Counter[str]:
        """How often each job, or the scheduler, has noted this."""
        if not self.jobs.exists():
            return Counter()
        lines = [line.split() for line in self.jobs.read_text().splitlines()]
        return Counter(what for word, what, _ in lines if word == kind)

    @property
    def unfinished(self) -> set[str]:
        return {str(number) for number in self.added} - set(self.noted("end"))

    def check(self) -> None:
        """Each job was run exactly once, and there was one scheduler at a time."""
        once = Counter(map(str, self.added))
        assert self.noted("begin") == once
        assert self.noted("end") == once
        assert self.noted("twice") == Counter()


@pytest.fixture
async def make(make_site: MakeSite, tmp_path: Path) -> AsyncIterator[Callable[..., Queue]]:
    with redis_server(tmp_path) as port:
        await until_ready(port)
        yield lambda files, wsgi: Queue(make_site(), port, files, wsgi)


Make = Callable[[Mapping[str, str], str], Queue]


def with_celery(make: Make, **worker: Any) -> Queue:
    queue = make(queue_apps.DJANGO, "shop.wsgi")
    command = [*CELERY, "worker", "-n", "{slot}{instance}@%h", "-c", "2", "--without-mingle"]
    beat = [*CELERY, "beat", "--pidfile=", "-s", str(queue.site.directory / "beat")]
    queue.site.configure(
        processes={
            "worker": {
                "command": command,
                "env": WORKER,
                "count": 2,
                "stop_timeout": "30s",
                **worker,
            },
            "beat": {"command": beat},
        }
    )
    return queue


def with_rq(make: Make, **worker: Any) -> Queue:
    queue = make(queue_apps.RQ, "web:app")
    command = [sys.executable, "worker.py"]
    queue.site.configure(
        processes={
            "worker": {
                "command": command,
                "env": WORKER,
                "count": 2,
                "stop_timeout": "30s",
                **worker,
            },
            "clock": {"command": [sys.executable, "scheduler.py"]},
        }
    )
    return queue


KINDS = {"celery": with_celery, "rq": with_rq}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handover", ["overlap", "exclusive"])
async def test_five_deploys_lose_no_job_and_run_none_twice(
    make: Make, kind: str, handover: str
) -> None:
    queue = KINDS[kind](make, handover=handover)
    queue.commit("the first")
    async with queue.site.running():
        async with queue.stream():
            for number in range(DEPLOYS):
                new = queue.commit(f"deploy {number}")
                status = await queue.site.until_live(new, timeout=PATIENCE)
                assert status["last_swap"]["outcome"] == "promoted"
        assert queue.noted("tick")["0"] > 0
    queue.check()
    assert queue.noted("alone")["scheduler"] == DEPLOYS + 1
    assert "killed" not in queue.site.log(), "each worker has finished its job in time"


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
async def test_in_exclusive_swaps_no_job_is_lost_either(make: Make, kind: str) -> None:
    queue = KINDS[kind](make)
    queue.site.configure(swap={"strategy": "exclusive"}, hold={"timeout": "60s"})
    queue.commit("the first")
    async with queue.site.running():
        async with queue.stream():
            for number in range(2):
                await queue.site.until_live(queue.commit(f"deploy {number}"), timeout=PATIENCE)
    queue.check()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "breaks"), [("celery", "shop/tasks.py"), ("rq", "worker.py")])
@pytest.mark.parametrize("handover", ["overlap", "exclusive"])
async def test_a_worker_that_dies_at_start_takes_the_release_back_and_the_queue_goes_on(
    make: Make, kind: str, breaks: str, handover: str
) -> None:
    queue = KINDS[kind](make, handover=handover)
    queue.site.configure(swap={"soak": "30s"})  # Celery needs seconds to die on a busy machine.
    old = queue.commit("the first")
    async with queue.site.running():
        async with queue.stream():
            bad = queue.commit("broken", breaks)
            await until("it is reverted", lambda: "reverted" in queue.site.log(), timeout=PATIENCE)
            status = await queue.site.until_live(old, timeout=PATIENCE)
            receipt = status["last_swap"]
            assert (receipt["outcome"], receipt["revision"]) == ("reverted", bad)
            assert receipt["reason"].startswith("process worker.")
            done = len(queue.noted("end"))
            await until(
                "more jobs are done", lambda: len(queue.noted("end")) > done + 5, timeout=PATIENCE
            )
    queue.check()


async def test_a_deploy_lets_a_job_of_rq_finish(make: Make) -> None:
    queue = with_rq(make)
    queue.site.configure(swap={"soak": 0})
    queue.commit("the first")
    barrier = Path(f"{queue.jobs}.wait")
    barrier.touch()
    async with queue.site.running():
        assert (await queue.site.get("/add/0?seconds=0")).status == 200
        queue.added.append(0)
        await until("it has begun", lambda: queue.noted("begin"))
        new = queue.commit("the second")
        await queue.site.until_logged("warm shut down requested")
        await queue.site.until_live(new)
        assert queue.noted("end") == {}
        barrier.unlink()
        await until("it has ended", lambda: not queue.unfinished)
    queue.check()
