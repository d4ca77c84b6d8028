"""The hook's lines reach whoever pushes, whatever the transport."""

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.pushing import Developer, accepting, until_head
from tests.support.site import RealSite, free_ports
from tests.waiting import PATIENCE, until

MakeSite = Callable[..., RealSite]

FAKE_SSH = """#!/bin/sh
for command; do :; done
cd / && exec env -i PATH="$PATH" HOME=/nonexistent sh -c "$command"
"""
"""Runs the command for the server as sshd does: somewhere else, with an environment of its own."""


@asynccontextmanager
async def git_daemon(directory: Path) -> AsyncIterator[str]:
    """A server of git's own protocol for the repositories there; its URL."""
    (port,) = free_ports(1)
    where = (f"--base-path={directory}", "--listen=127.0.0.1", f"--port={port}")
    command = ["git", "daemon", "--export-all", "--enable=receive-pack", *where]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    async def listens() -> bool:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            return False
        return True

    try:
        await until("git daemon listens", listens)
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.wait, PATIENCE)


async def check_pushes(site: RealSite, developer: Developer, **env: str) -> None:
    """Push a revision that works, and one that does not."""
    works = developer.commit("works")
    pushed = await developer.push(**env)
    assert pushed.is_accepted, pushed.output
    assert f"swap to {works[:7]}" in pushed.remote, pushed.output
    assert pushed.remote[-1].startswith("live on ")
    await until_head(site, works)
    broken = developer.commit("broken", broken_txt="x")
    pushed = await developer.push(**env)
    assert not pushed.is_accepted
    assert f"failed {broken[:7]}: build ended with exit status 1" in pushed.remote
    assert site.head() == works


@pytest.mark.long
async def test_a_push_over_ssh_shows_the_swap(make_site: MakeSite) -> None:
    site = make_site(release={"build": ["test", "!", "-e", "broken.txt"]})
    site.commit("one")
    ssh = site.directory / "ssh"
    ssh.write_text(FAKE_SSH)
    ssh.chmod(0o755)
    async with site.running():
        await accepting(site)
        developer = Developer(site, url=f"server.example.com:{site.checkout}")
        await check_pushes(site, developer, GIT_SSH_COMMAND=str(ssh))


@pytest.mark.long
async def test_a_push_to_a_git_daemon_shows_the_swap(make_site: MakeSite) -> None:
    site = make_site(release={"build": ["test", "!", "-e", "broken.txt"]})
    site.commit("one")
    async with site.running(), git_daemon(site.directory) as url:
        await accepting(site)
        await check_pushes(site, Developer(site, url=f"{url}/checkout"))
