"""Files without an end, and files whose reading blocks, stop neither site nor command."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.site import RealSite
from tests.waiting import until

UNFIT: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a link to a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a sparse file of 8 GiB": lambda path: _sparse(path, 8 * 2**30),
}
MOST_MEMORY = 120 * 2**20
"""Bytes that a supervisor of a small site never needs."""


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def memory_of(site: RealSite) -> int:
    """Bytes that are resident in the supervisor."""
    assert site.process is not None
    pages = Path(f"/proc/{site.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def only_the_app_runs(site: RealSite) -> bool:
    """And no git that waits for something."""
    return len(site.processes()) == 1


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
async def test_an_unreadable_git_head_is_reported_and_the_site_goes_on(
    make_site: Callable[..., RealSite], make: Callable[[Path], object]
) -> None:
    site = make_site()
    site.commit("one")
    head = site.checkout / ".git" / "HEAD"
    async with site.running(), site.steady_load():
        await until("git has tidied up", lambda: only_the_app_runs(site))
        head.rename(head.with_name("aside"))
        make(head)

        async def problem() -> str:
            return str((await site.status())["problem"])

        async def is_reported() -> bool:
            return f"{head} is" in await problem()

        await until("it is reported", is_reported)
        failed = await site.cli("swap")
        assert f"{head} is" in failed.err
        await until("no git is left", lambda: only_the_app_runs(site))
        assert memory_of(site) < MOST_MEMORY
        head.with_name("aside").replace(head)
        await site.until_live(site.commit("two"))
        assert await problem() == ""


async def test_a_start_with_an_unreadable_git_head_serves_the_last_live_release(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        pass
    head = site.checkout / ".git" / "HEAD"
    head.unlink()
    os.mkfifo(head)
    async with site.running():
        assert (await site.get("/")).json()["text"] == "one"


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
async def test_an_unreadable_state_file_is_put_aside(
    make_site: Callable[..., RealSite], make: Callable[[Path], object]
) -> None:
    site = make_site()
    site.commit("one")
    site.state.mkdir()
    make(site.state / "state.toml")
    async with site.running():
        assert memory_of(site) < MOST_MEMORY
        await site.until_logged("state.toml aside to state.toml.bad")


async def test_a_lock_path_that_is_no_file_is_refused_with_a_message(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    site.state.mkdir()
    os.mkfifo(site.state / "lock")
    done = await site.run("run", str(site.config_file))
    assert done.code == 2
    assert f"cannot use {site.state / 'lock'} as lock file, remove it: is not" in done.err


async def test_a_fifo_in_place_of_the_settings_is_refused_with_a_message(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running(), site.steady_load():
        site.config_file.rename(site.config_file.with_name("aside"))
        os.mkfifo(site.config_file)
        answer = await site.ask("reload")
        assert "cannot be read: is not a regular file" in answer["error"]


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
async def test_client_commands_refuse_settings_files_without_an_end(
    make_site: Callable[..., RealSite], make: Callable[[Path], object]
) -> None:
    site = make_site()
    site.config_file.unlink()
    make(site.config_file)
    done = await site.cli("status")
    assert done.code == 2
    assert f"{site.config_file}: " in done.err
