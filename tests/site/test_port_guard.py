"""Whether a port belongs to the app or to another program."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from blue_green.site.port_guard import FULL_CHECK_EVERY, PortGuard, PortStolen
from blue_green.system import procfs, rlimit_tag, supervisor_marker
from blue_green.system.process import Process
from tests.support.port_thief import port_thief
from tests.support.processes import US
from tests.support.site import free_ports
from tests.waiting import until

LISTEN = """
import os, socket, time
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, {share})
sock.bind(("127.0.0.1", {port}))
sock.listen()
if {leave}:
    if os.fork():
        sock.close()
        time.sleep(600)
    os.setsid()
print("listens", flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def listening(port: int, directory: Path, **how: int) -> AsyncIterator[Process]:
    """A command that listens on this port."""
    program = LISTEN.format(port=port, **{"share": 0, "leave": 0, **how})
    argv, env = [sys.executable, "-c", program], supervisor_marker.variable(directory)
    process = Process.start(argv, cwd=directory, env=env, user=US)
    said: list[list[bytes]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run, lambda lines, _: said.append(lines))
        await until("it listens", lambda: said)
        yield process
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("leave", [0, 1], ids=["itself", "left its group"])
async def test_the_port_of_a_command_or_of_its_descendant_is_its_own(
    tmp_path: Path, leave: int
) -> None:
    (port,) = free_ports(1)
    async with listening(port, tmp_path, leave=leave) as process:
        guard = PortGuard(port, process, US.uid)
        assert await guard.check() == ""
        assert await guard.check() == ""


async def test_a_port_on_which_nothing_listens_is_reported(tmp_path: Path) -> None:
    other, port = free_ports(2)
    async with listening(other, tmp_path) as process:
        elsewhere = PortGuard(port, process, US.uid)
        assert f"no process on this machine listens on port {port}" in await elsewhere.check()


async def test_a_port_shared_with_another_program_of_the_same_user_is_usurped(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(("127.0.0.1", port))
        async with listening(port, tmp_path, share=1) as process:
            guard = PortGuard(port, process, US.uid)
            assert await guard.check() == ""
            ours.listen()
            with pytest.raises(PortStolen, match=f"was opened by pid {os.getpid()} "):
                for _ in range(FULL_CHECK_EVERY):
                    await guard.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user as well")
async def test_no_other_user_can_share_a_port(directory: Path) -> None:
    """What the kernel promises (SO_REUSEPORT, socket(7)), and the guard need not look for."""
    (port,) = free_ports(1)
    async with listening(port, directory, share=1) as process:
        guard = PortGuard(port, process, US.uid)
        async with port_thief(port, directory, how="sharing") as thief:
            await trio.sleep(0.3)
            assert not thief.has_port
            assert await guard.check() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user as well")
async def test_a_forged_tag_does_not_make_another_users_process_a_descendant(
    directory: Path,
) -> None:
    """Everybody can read the tag of a command, in /proc/PID/limits."""
    other, port = free_ports(2)
    async with listening(other, directory) as process:
        forged = rlimit_tag.parse(process.env_marker.partition("=")[2])
        async with port_thief(port, directory, tag=forged) as thief:
            await thief.until_it_has_port()
            assert thief.process.pid in procfs.descendants(process.env_marker, process.pid)
            with pytest.raises(PortStolen):
                await PortGuard(port, process, US.uid).check()
