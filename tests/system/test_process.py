"""A command: its output, its ending, and the ending of all its descendants."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from blue_green.system import procfs
from blue_green.system.printable import LONGEST_LINE
from blue_green.system.process import POLL_INTERVAL, ending
from tests.support.processes import DEAF, WITH_CHILD, alive, python, running
from tests.support.screen import on_screen
from tests.support.site import RealSite
from tests.waiting import PATIENCE, until

NO_PID = 2**22 + 1
"""More than Linux ever gives out."""


# --- the end --------------------------------------------------------------------------------


async def test_a_command_that_is_asked_to_stop_stops(tmp_path: Path) -> None:
    async with running(tmp_path, 'import time; print("up 1", flush=True); time.sleep(600)') as it:
        await it.said("up")
        with trio.fail_after(PATIENCE):
            await it.process.stop(signal.SIGTERM, PATIENCE)
        assert it.process.returncode == -signal.SIGTERM
        assert it.process.exited.is_set()
        assert it.process.gone.is_set()


async def test_an_end_is_noticed_also_without_a_pidfd(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, 'print("up 1", flush=True); input()') as it:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with trio.fail_after(PATIENCE):
                await it.process.exited.wait()
            await trio.sleep(5 * POLL_INTERVAL)
            assert not it.process.gone.is_set(), "who is left cannot be known yet"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        with trio.fail_after(PATIENCE):
            await it.process.gone.wait()


async def test_a_command_that_ignores_the_signal_is_killed_after_the_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = f'{DEAF}; import time; print("up 1", flush=True); time.sleep(600)'
    async with running(tmp_path, program) as it:
        await it.said("up")
        await it.process.stop(signal.SIGTERM, 0.2)
        assert it.process.returncode == -signal.SIGKILL
        assert f"pid {it.process.pid} did not stop within 0.2 s: killed" in caplog.text


async def test_stopping_an_ended_command_is_no_error(tmp_path: Path) -> None:
    async with running(tmp_path, "") as it:
        await it.process.gone.wait()
        it.process.send(signal.SIGTERM)
        await it.process.stop(signal.SIGTERM, 1)
        assert it.process.returncode == 0


@pytest.mark.parametrize("child", [DEAF, f"os.setsid(); {DEAF}"], ids=["in group", "left group"])
@pytest.mark.parametrize("leader", ["", DEAF], ids=["leader ends", "leader deaf"])
async def test_descendants_that_ignore_signals_end_with_the_command(
    tmp_path: Path, child: str, leader: str
) -> None:
    program = WITH_CHILD.format(child=child, leader=leader, life=600)
    async with running(tmp_path, program) as it:
        await it.said("child")
        await it.said("leader")
        await it.process.stop(signal.SIGTERM, 0.3)
        assert alive(tmp_path) == []


async def test_a_child_may_finish_its_work_if_only_the_leader_gets_the_signal(
    tmp_path: Path,
) -> None:
    """As a queue worker needs it, whose children have a job in hand."""
    leader = "def end(*_): time.sleep(0.3); os.write(1, b'waited 1\\n'); os._exit(int(dead()))"
    dead = "def dead(): return os.waitpid(-1, os.WNOHANG) != (0, 0)"
    program = WITH_CHILD.format(
        child="", leader=f"{dead}\n{leader}\nsignal.signal(signal.SIGTERM, end)", life=600
    )
    async with running(tmp_path, program) as it:
        await it.said("child")
        await it.said("leader")
        await it.process.stop(signal.SIGTERM, PATIENCE, leader_first=True)
        assert it.process.returncode == 0, "its child had not ended"
        assert alive(tmp_path) == []


async def test_what_outlives_its_leader_gets_the_signal_then(tmp_path: Path) -> None:
    """As of a shell that ends without a word to the program that it has started."""
    child = "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'told 1\\n'), os._exit(0)))"
    program = WITH_CHILD.format(child=child, leader="", life=600)
    async with running(tmp_path, program) as it:
        await it.said("child")
        await it.said("leader")
        began = trio.current_time()
        await it.process.stop(signal.SIGTERM, PATIENCE, leader_first=True)
        await it.said("told")
        assert trio.current_time() - began < PATIENCE / 2
        assert alive(tmp_path) == []


@pytest.mark.parametrize("child", [DEAF, f"os.setsid(); {DEAF}"], ids=["in group", "left group"])
async def test_descendants_end_when_the_leader_ends_by_itself(tmp_path: Path, child: str) -> None:
    program = WITH_CHILD.format(child=child, leader="time.sleep(0.5)", life=0)
    async with running(tmp_path, program) as it:
        await it.said("child")
        with trio.fail_after(PATIENCE):
            await it.process.gone.wait()
        assert alive(tmp_path) == []


async def test_a_child_gets_the_stop_signal_once(tmp_path: Path) -> None:
    """Programs take a second SIGTERM for impatience, and drop what they are doing."""
    child = 'signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked 1\\n"))'
    program = WITH_CHILD.format(child=child, leader=DEAF, life=600)
    async with running(tmp_path, program) as it:
        await it.said("child")
        await it.said("leader")
        await it.process.stop(signal.SIGTERM, 1)
        assert it.lines.count("asked 1") == 1


@pytest.mark.parametrize("child", [DEAF, f"os.setsid(); {DEAF}"], ids=["in group", "left group"])
@pytest.mark.parametrize("leader", ["", DEAF], ids=["leader ends", "leader deaf"])
async def test_nothing_is_left_when_a_stop_is_cancelled(
    tmp_path: Path, child: str, leader: str
) -> None:
    program = WITH_CHILD.format(child=child, leader=leader, life=600)
    async with running(tmp_path, program) as it:
        pid = await it.said("child")
        await it.said("leader")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.process.stop, signal.SIGTERM, 600)
            if not leader:
                await it.process.exited.wait()
            it.scope.cancel()
        try:
            await until("none is left", lambda: not alive(tmp_path), 5)
        finally:
            procfs.send(signal.SIGKILL, pid)


async def test_cancelling_kills_all_descendants(tmp_path: Path) -> None:
    async with running(
        tmp_path, WITH_CHILD.format(child=f"os.setsid(); {DEAF}", leader=DEAF, life=600)
    ) as it:
        await it.said("child")
        await it.said("leader")
        it.scope.cancel()
        await it.process.gone.wait()
        await until("none is left", lambda: not alive(tmp_path))


def test_an_unrelated_process_is_not_a_descendant() -> None:
    """Kernel threads have process group 0, and in some containers we ourselves have."""
    assert procfs.descendants("NOBODY_HAS=this", NO_PID) == []


async def test_one_scan_finds_that_a_command_has_left_no_descendant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server with many processes, a scan takes longer than most commands of git."""
    scans: list[int] = []
    descendants = procfs.descendants

    def counted(env_marker: str, leader: int) -> list[int]:
        scans.append(leader)
        return descendants(env_marker, leader)

    monkeypatch.setattr(procfs, "descendants", counted)
    assert (await python(tmp_path, "")).ok
    assert len(scans) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit status 0"),
        (3, "ended with exit status 3"),
        (-9, "was killed by SIGKILL"),
        (None, "is still running"),
    ],
)
def test_an_ending_is_described_in_words(code: int | None, words: str) -> None:
    assert ending(code) == words


def test_an_ending_by_any_signal_can_be_described() -> None:
    """Python has no names for most of the real-time signals."""
    for number in range(1, signal.SIGRTMAX + 1):
        assert ending(-number).startswith("was killed by ")


# --- output ---------------------------------------------------------------------------------


async def test_output_arrives_line_by_line_with_stderr_marked(tmp_path: Path) -> None:
    program = 'import sys; print("a\\n\\nb"); print("e", file=sys.stderr); print("no end", end="")'
    async with running(tmp_path, program) as it:
        await it.process.gone.wait()
        assert (it.lines, it.errors) == (["a", "", "b", "no end"], ["e"])


async def test_a_very_long_line_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    async with running(tmp_path, 'print("x" * 10**6); print("next")') as it:
        await it.process.gone.wait()
        assert it.lines[-1] == "next"
        assert it.lines[0] == "x" * LONGEST_LINE + " ..."
        assert max(map(len, it.lines)) == len(it.lines[0])


async def test_an_endless_line_is_passed_on_in_pieces(tmp_path: Path) -> None:
    program = 'import sys, time; sys.stdout.write("x" * 10**5); sys.stdout.flush(); time.sleep(600)'
    async with running(tmp_path, program) as it:
        await until("some of it", lambda: it.lines)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9!", r"caf\xe9!"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"a\tb", "a\tb"),
        (b"50%\r100%\r", r"50%\r100%"),
        (b"nul\x00", r"nul\x00"),
        ("\u202egnp".encode(), r"\u202egnp"),
    ],
)
async def test_terminal_control_sequences_are_made_visible(
    tmp_path: Path, written: bytes, shown: str
) -> None:
    program = f"import sys; sys.stdout.buffer.write({written!r} + b'\\n')"
    assert (await python(tmp_path, program)).tail == (shown,)


async def test_a_command_may_close_its_output_early(tmp_path: Path) -> None:
    program = (
        "import os, time; print('up 1', flush=True); os.close(1); os.close(2); time.sleep(600)"
    )
    async with running(tmp_path, program) as it:
        await it.said("up")
        assert not it.process.exited.is_set()
        await it.process.stop(signal.SIGTERM, PATIENCE)
        assert it.process.returncode == -signal.SIGTERM


TYPE = """
import fcntl, os, termios
try:
    terminal = os.open("/dev/tty", os.O_RDWR)
    for key in b"owned":
        fcntl.ioctl(terminal, termios.TIOCSTI, bytes([key]))
except OSError as error:
    print("cannot type:", error.strerror)
else:
    print("has typed")
"""
"""Types into the terminal of its session, as if somebody sat at the keyboard."""


@pytest.mark.skipif(
    Path("/proc/sys/dev/tty/legacy_tiocsti").exists()
    and Path("/proc/sys/dev/tty/legacy_tiocsti").read_text() == "0\n",
    reason="this kernel lets nobody type for others",
)
async def test_a_command_cannot_type_into_our_terminal(make_site: Callable[..., RealSite]) -> None:
    site = make_site(release={"build": [sys.executable, "-c", f"{TYPE}raise SystemExit(1)"]})
    site.commit()
    async with on_screen("check", "--start", str(site.config_file)) as screen:
        assert await screen.ended() == 1
        assert "cannot type: No such device or address" in screen.text, screen.text
        assert "owned" not in screen.text


async def test_only_standard_descriptors_are_inherited_and_input_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        program = "import os, sys; print(os.listdir('/proc/self/fd'), repr(sys.stdin.read()))"
        assert (await python(tmp_path, program)).stdout == "['0', '1', '2', '3'] ''"


async def test_variables_meant_for_the_supervisor_are_kept_from_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "GIT_DIR", "KEPT"):
        monkeypatch.setenv(name, "x")
    program = "import os; print(sorted(k for k in os.environ if os.environ[k] == 'x'))"
    assert (await python(tmp_path, program)).stdout == "['KEPT']"
