"""Another user's program on the port of a backend: it is never taken for the app."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import define, field

from blue_green.site.crash import TOO_MANY_DEATHS
from blue_green.site.port_conflicts import TRY_AGAIN, PortConflicts
from blue_green.site.port_guard import LOOK_ANEW, PortGuard, Usurped
from blue_green.system import port_holders, procfs, rlimit_tag, users
from blue_green.system.port_holders import ListeningSocket
from blue_green.system.process import SUPERVISOR, Process
from tests.support.site import Done, RealSite, free_ports
from tests.support.stranger import Stranger, stranger
from tests.waiting import until

US = users.owner_of(Path("/proc/self"))


@pytest.fixture
def site() -> Iterator[RealSite]:
    """In a directory that everybody can get to."""
    path = Path(tempfile.mkdtemp(prefix="blue-green-"))
    path.chmod(0o755)
    yield RealSite(path)
    shutil.rmtree(path)


@define
class SlowSwap:
    """A swap, and who is after the port of its candidate."""

    revision: str
    barrier: Path
    ended: trio.Event = field(factory=trio.Event)
    done: Done = field(init=False)
    thief: Stranger = field(init=False)


@asynccontextmanager
async def slow_swap(site: RealSite, how: str = "eager") -> AsyncIterator[SlowSwap]:
    """A swap whose candidate is slow to start, and a stranger who takes its port meanwhile."""
    site.commit()
    async with site.running(), site.steady_load(), trio.open_nursery() as nursery:
        revision = site.draft("second")
        barrier = site.put_up("start", revision)
        swap = SlowSwap(revision, barrier)

        async def run() -> None:
            swap.done = await site.cli("swap", revision)
            swap.ended.set()

        nursery.start_soon(run)
        reached = barrier.with_name(f"{barrier.name}.reached")
        await until("the candidate starts", reached.exists)
        async with stranger(site.green, site.directory, how=how) as swap.thief:
            await swap.thief.until_it_has_port()
            yield swap


async def test_a_stranger_on_the_port_of_a_slow_candidate_gets_no_request(site: RealSite) -> None:
    async with slow_swap(site) as swap:
        await swap.ended.wait()
        assert swap.done.code == 1, swap.done
        assert f"127.0.0.1:{site.green} was opened by pid {swap.thief.process.pid}" in swap.done.out
        assert 'port_opened_by = "anyone"' in swap.done.out
        assert (await site.status())["quarantined"] == {}
        assert (await site.status())["live"]["revision"] != swap.revision
        assert swap.thief.stolen == []


async def test_who_has_the_port_is_said_of_a_candidate_that_fails_for_it(site: RealSite) -> None:
    site.configure(health={"timeout": "20s"})  # The stranger does not answer the first probe.
    async with slow_swap(site, "silent") as swap:
        swap.barrier.unlink()
        await swap.ended.wait()
        assert swap.done.code == 1, swap.done
        assert "the app ended with exit status 1 before it was healthy" in swap.done.out
        assert f"is taken: pid {swap.thief.process.pid} " in swap.done.out
        assert swap.thief.stolen == []


async def test_what_dies_is_started_in_the_other_slot_when_a_stranger_takes_its_port(
    site: RealSite,
) -> None:
    """Requests wait for that, and the stranger gets none of them."""
    revision = site.commit()
    async with site.running() as running:
        live = (await running.status())["live"]
        barrier = site.put_up("start", revision)  # Before it listens, when it is started again.
        async with stranger(site.blue, site.directory) as thief:
            os.kill(live["pids"][0], 9)
            await thief.until_it_has_port()
            barrier.unlink()
            await site.until_logged(f"port {site.blue} is tried again every")
            answer = await site.get("/secret")
            assert (answer.status, answer.json()["revision"]) == (200, revision)
            live = (await site.until_live(revision))["live"]
            assert (live["slot"], live["ports"]) == ("green", [site.green])
            assert thief.stolen == []
    assert site.log().count(f"port {site.blue} is tried again every") == 1


async def test_while_strangers_have_the_ports_of_both_slots_requests_wait_and_are_told_why(
    site: RealSite,
) -> None:
    """However long that lasts: as soon as a port is free again, the app serves there."""
    site.configure(hold={"timeout": "500ms"})
    revision = site.commit()
    async with site.running() as running:
        [pid] = (await running.status())["live"]["pids"]
        barrier = site.put_up("start", revision)  # Before it listens, when it is started again.
        async with stranger(site.blue, site.directory) as thief:
            with socket.create_server(("127.0.0.1", site.green)):
                os.kill(pid, 9)
                await thief.until_it_has_port()
                barrier.unlink()
                await site.until_logged(f"failed: port {site.green} is taken")
                for _ in range(TOO_MANY_DEATHS):
                    answer = await site.get("/")
                    assert answer.status == 503
                    assert b"another program has its port" in answer.body
                    assert (await site.status())["phase"] != "failing"
        await site.until_live(revision)

        async def serves() -> bool:
            return (await site.get("/")).status == 200

        await until("it serves", serves)
    assert site.log().count(f"port {site.blue} is tried again every") == 1


async def test_the_other_slot_is_tried_after_a_second_and_then_ever_less_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[float] = []
    taken = PortConflicts(lambda _: asked.append(trio.current_time()))
    began = trio.current_time()
    news = 0
    while trio.current_time() < began + 100:
        news += taken.note(80, "port 80 is taken")
        await trio.sleep(TRY_AGAIN)
    assert news == 1
    assert [at - began for at in asked] == [1, 6, 16, 36, 76]
    taken.forget(80)
    assert taken.note(80, "port 80 is taken")


async def test_a_stranger_on_the_port_that_a_live_app_has_given_up_is_noticed(
    site: RealSite,
) -> None:
    site.configure(hold={"timeout": "500ms"}, health={"fall": 1000})
    site.commit()
    async with site.running():
        async with stranger(site.blue, site.directory) as thief:
            assert (await site.get("/?give-up")).status == 200
            await thief.until_it_has_port()
            await site.until_logged(f"was opened by pid {thief.process.pid}")
            before = list(thief.stolen)
            await site.get("/secret")
            assert thief.stolen == before


async def test_another_program_may_open_the_port_where_the_settings_say_so(site: RealSite) -> None:
    site.configure(app={"port_opened_by": "anyone"})
    site.commit()
    second = site.draft("second")
    barrier = site.put_up("start", second)
    reached = barrier.with_name(f"{barrier.name}.reached")
    async with site.running(), trio.open_nursery() as nursery:
        nursery.start_soon(site.cli, "swap", second)
        await until("the candidate starts", reached.exists)
        async with stranger(site.green, site.directory) as proxy:
            await site.until_live(second)
            assert (await site.get("/")).body == b"stolen"
            assert proxy.stolen == ["/"]


# --- whose a port is ------------------------------------------------------------------------

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
async def guarded(port: int, directory: Path, **how: int) -> AsyncIterator[PortGuard]:
    """The guard of the port on which a command listens."""
    program = LISTEN.format(port=port, **{"share": 0, "leave": 0, **how})
    argv, env = [sys.executable, "-c", program], {SUPERVISOR: str(directory)}
    process = Process.start(argv, cwd=directory, env=env, user=US)
    said: list[list[bytes]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run, lambda lines, _: said.append(lines))
        await until("it listens", lambda: said)
        yield PortGuard(port, process, US.uid)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("leave", [0, 1], ids=["itself", "left its group"])
async def test_the_port_of_a_command_or_of_its_descendant_is_its_own(
    tmp_path: Path, leave: int
) -> None:
    (port,) = free_ports(1)
    async with guarded(port, tmp_path, leave=leave) as guard:
        assert await guard.look() == ""
        assert await guard.look() == ""


async def test_a_port_on_which_nobody_listens_is_nobodys(tmp_path: Path) -> None:
    other, port = free_ports(2)
    async with guarded(other, tmp_path) as guard:
        elsewhere = PortGuard(port, guard._process, US.uid)
        assert f"no process here listens on port {port}" in await elsewhere.look()


async def test_a_port_that_a_program_of_the_same_user_shares_is_not_its_own(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(("127.0.0.1", port))
        async with guarded(port, tmp_path, share=1) as guard:
            assert await guard.look() == ""
            ours.listen()
            with pytest.raises(Usurped, match=f"was opened by pid {os.getpid()} "):
                for _ in range(LOOK_ANEW):
                    await guard.look()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user as well")
async def test_no_other_user_can_share_a_port(site: RealSite) -> None:
    """What the kernel promises (SO_REUSEPORT, socket(7)), and the guard need not look for."""
    (port,) = free_ports(1)
    async with guarded(port, site.directory, share=1) as guard:
        async with stranger(port, site.directory, how="sharing") as thief:
            await trio.sleep(0.3)
            assert not thief.has_port
            assert await guard.look() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user as well")
async def test_a_stranger_does_not_become_a_descendant_by_its_tag(site: RealSite) -> None:
    """Everybody can read the tag of a command, in /proc/PID/limits."""
    other, port = free_ports(2)
    async with guarded(other, site.directory) as guard:
        process = guard._process
        forged = rlimit_tag.named(process.mark.partition("=")[2])
        async with stranger(port, site.directory, tag=forged) as thief:
            await thief.until_it_has_port()
            assert thief.process.pid in procfs.family(process.mark, process.pid)
            with pytest.raises(Usurped):
                await PortGuard(port, process, US.uid).look()


def test_the_socket_that_a_connection_comes_to_is_known() -> None:
    """The kernel prefers one that is bound to the address, and then one of IPv4."""
    one = ListeningSocket("127.0.0.1:80", 1, "127.0.0.1", 80)
    mapped = ListeningSocket("[::ffff:127.0.0.1]:80", 2, "::ffff:127.0.0.1", 80)
    all4 = ListeningSocket("0.0.0.0:80", 3, "0.0.0.0", 80)
    all6 = ListeningSocket("[::]:80", 4, "::", 80)
    other = ListeningSocket("[::1]:80", 5, "::1", 80)
    elsewhere = ListeningSocket("127.0.0.1:81", 6, "127.0.0.1", 81)
    everything = [other, elsewhere, all6, all4, mapped, one]
    assert port_holders.reached_by(80, everything) == [mapped, one]
    assert port_holders.reached_by(80, everything[:4]) == [all4]
    assert port_holders.reached_by(80, everything[:3]) == [all6]
    assert port_holders.reached_by(80, everything[:2]) == []


def test_where_a_command_listens_is_told(tmp_path: Path) -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(tmp_path / "app.sock"))
        unix.listen()
        found = {str(one) for one in port_holders.of("NOBODY_HAS=this", os.getpid(), US.uid)}
        assert found >= {
            f"127.0.0.1:{four.getsockname()[1]}",
            f"[::1]:{six.getsockname()[1]}",
            f"unix:{tmp_path / 'app.sock'}",
        }
