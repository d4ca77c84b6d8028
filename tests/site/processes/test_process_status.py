"""The state of each process, and what needs attention."""

from pathlib import Path

import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.config.release_kinds import Schedule
from blue_green.site.site import Site
from tests.support.fake_processes import FakeProcesses, generation, process


def _states(site: Site) -> dict[str, list[str]]:
    return {
        one["name"]: [instance["state"] for instance in one["instances"]]
        for one in site.status.processes.as_dicts()
    }


async def test_each_instance_has_a_state(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    job = evolve(process(), schedule=Schedule("0 3 * * *"))
    site.processes.use(generation(tmp_path, worker=process(count=2), job=job))
    await wait_all_tasks_blocked()
    assert _states(site) == {"worker": ["running", "running"], "job": ["waiting"]}
    site.processes.use(generation(tmp_path, worker=process()))
    await wait_all_tasks_blocked()
    assert _states(site) == {"worker": ["stopping", "stopping", "waiting"]}
    await trio.sleep(31)
    assert _states(site) == {"worker": ["running"]}


async def test_a_process_that_ends_again_and_again_needs_attention(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    site.processes.use(generation(tmp_path, worker=process()))
    site.processes.supervise()
    for _ in range(3):
        await wait_all_tasks_blocked()
        assert site.status.processes.problems() == []
        fakes.running[0].die()
        await trio.sleep(0.2)
    assert site.status.processes.problems() == ["process worker has ended 3 times in a row"]
    assert _states(site) == {"worker": ["restarting"]}
    (worker,) = site.status.processes.as_dicts()
    assert worker["restarts"] == 2
