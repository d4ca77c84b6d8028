"""`restart --process`, and the link `current`, of a real site."""

from collections.abc import Callable

import pytest

from tests.support.site import RealSite
from tests.support.swaps import lasting
from tests.waiting import until


async def until_running(site: RealSite, count: int) -> set[int]:
    """The pids of the processes, once so many run."""
    pids: set[int] = set()

    async def do_run() -> bool:
        nonlocal pids
        instances = [
            one for each in (await site.status())["processes"] for one in each["instances"]
        ]
        pids = {one["pid"] for one in instances if one["pid"] is not None}
        return len(pids) == count

    await until(f"{count} processes run", do_run)
    return pids


async def test_single_processes_are_restarted_without_a_swap(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    worker = {"command": ["sleep", "1000"], "count": 2}
    nightly = {"command": ["true"], "schedule": "0 3 1 1 *"}
    site.configure(processes={"worker": worker, "mail": {**worker, "count": 1}, "nightly": nightly})
    site.commit("one")
    async with site.running():
        running = await until_running(site, 3)
        before = await site.status()
        done = await site.cli("restart", "--process", "worker")
        assert (done.code, done.err) == (0, "")
        started = {int(pid) for pid in done.out.removeprefix("worker: restarted, pid ").split(", ")}
        assert len(started) == 2
        assert started.isdisjoint(running)
        now = await until_running(site, 3)
        assert len(running & now) == len(running) - 2, "the others go on"
        after = await site.status()
        assert lasting(after["live"]) == lasting(before["live"])
        assert after["last_swap"] == before["last_swap"]
        unknown = await site.cli("restart", "--process", "wroker")
        assert (unknown.code, unknown.err) == (
            2,
            "blue-green: the live release has no process wroker; it has: worker, mail, nightly\n",
        )
        assert "on a schedule" in (await site.cli("restart", "--process", "nightly")).err


async def test_processes_run_on_if_the_environment_of_new_ones_cannot_be_read(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    secrets = site.directory / "secrets.env"
    site.configure(
        app={"env_file": ["secrets.env"]}, processes={"worker": {"command": ["sleep", "1000"]}}
    )
    secrets.write_text("TOKEN=hunter1")
    site.commit("one")
    async with site.running():
        running = await until_running(site, 1)
        secrets.write_text("TOKEN hunter2")
        done = await site.cli("restart", "--process", "worker")
        problem = f"[app] env_file: {secrets}, line 1: is not NAME=value"
        assert (done.code, done.err) == (1, f"blue-green: {problem}; nothing was restarted\n")
        assert await until_running(site, 1) == running


@pytest.mark.long
async def test_the_link_current_leads_to_the_live_release(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    one = site.commit("one")
    link = site.state / "current"

    async def until_at(revision: str) -> None:
        place = site.state / "releases" / revision[:12]
        await until("the link leads there", lambda: link.is_symlink() and link.readlink() == place)

    async with site.running():
        await until_at(one)
        assert f"in {link}" in (await site.cli("status")).out
        two = site.commit("two")
        await site.until_live(two)
        await until_at(two)
        await site.cli("rollback")
        await until_at(one)
    link.unlink()
    async with site.running():
        await until_at(one)
