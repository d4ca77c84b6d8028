"""A command that we started, and its descendants.

Each command gets a session and a process group of its own. Descendants that leave the group are
found by a marker in their environment, and by a resource-limit tag, which the marker contains. So a
command is identified by its pid, its pidfd, the read ends of its output pipes and that marker.
Everything else can be derived from these, which an upgrade in place hands over.

A new session has no terminal. In ours, a command could type into our terminal (TIOCSTI,
ioctl_tty(2)), and the shell that started us, often root's, would run what it types.

A dead leader is not reaped before its descendants have ended: while it is a zombie, its pid cannot
be reused, and a signal to the group reaches only the group.
"""

import logging
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from blue_green.system import (
    cannot_start,
    line_reader,
    procfs,
    rlimit_tag,
    root,
    supervisor_marker,
    threads,
)
from blue_green.system.cannot_start import CannotStart
from blue_green.system.environment import prepare
from blue_green.system.users import User

logger = logging.getLogger(__name__)

COMMAND_ID = "BLUE_GREEN_FAMILY"
"""The environment variable that marks a command and its descendants: the tag in hexadecimal."""

file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The open-file limit that we were started with, which our children get. We raise our own; after an
upgrade in place this is the limit that the first program was started with.
"""

KILL_TIMEOUT = 5.0
"""Seconds after SIGKILL until a process that still runs is reported and given up."""
POLL_INTERVAL = 0.02
"""Seconds between checks whether all descendants are gone."""
OUTPUT_TIMEOUT = 1.0
"""Seconds to go on reading output after the end: a daemon may hold the pipe open for ever."""


def set_file_limit(limit: tuple[int, int]) -> None:
    """Give this open-file limit to our children; an upgrade in place hands it over."""
    global file_limit  # noqa: PLW0603 - there is one limit for each process
    file_limit = limit


class Process:
    """A command and its descendants, from the start until none of them is left."""

    def __init__(self, pid: int, pidfd: int, outputs: tuple[int, int], env_marker: str) -> None:
        """Take ownership of the child, its pidfd, and the read ends of its two output pipes."""
        self.pid = pid
        self.pidfd = pidfd
        self.outputs = outputs
        self.env_marker = env_marker
        """`NAME=value` in the environment of its descendants only; the value is their tag."""
        self.began = procfs.start_time(pid)
        self.returncode: int | None = None
        """The exit status of the leader, or minus the signal that killed it."""
        self.exited = trio.Event()
        """The leader has ended; descendants may still run."""
        self.gone = trio.Event()
        """No process is left, and the last output has been passed on."""
        self._kill_at = 0.0
        """When descendants that outlive the leader are killed, on trio's clock."""
        self._is_killed = False
        self._ended_at = 0.0
        self._is_childless = False
        """The leader has ended, and so have all descendants."""

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        user: User,
        stdin: int = subprocess.DEVNULL,
        inherits: bool = False,
    ) -> "Process":
        """Start the command; raise `CannotStart` with the reason if that fails.

        `env` is added to our own environment. As root, only a program of the site (`inherits`)
        inherits that: see `root`. `stdin` is a descriptor, which the caller closes. `run` must
        follow.
        """
        tag = rlimit_tag.new(env.get(supervisor_marker.NAME, ""))
        command_id = f"{tag:x}"
        try:
            argv, variables = prepare(argv, env, user, inherits=inherits)
        except root.Unsafe as error:
            raise CannotStart(f"cannot start {argv[0]}: {error}") from None
        outputs: list[int] = []
        inputs: list[int] = []
        try:
            for _ in ("stdout", "stderr"):
                output, input_ = os.pipe()
                outputs.append(output)
                inputs.append(input_)
            with rlimit_tag.inherited(tag):
                popen = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env={**variables, COMMAND_ID: command_id},
                    stdin=stdin,
                    stdout=inputs[0],
                    stderr=inputs[1],
                    start_new_session=True,
                    user=None if user.is_us else user.uid,
                    group=None if user.is_us and user.gid == os.getegid() else user.gid,
                    extra_groups=None if user.is_us else user.groups,
                )
            pidfd = _open_pidfd(popen)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _close(outputs)
            raise cannot_start.because(argv[0], cwd, error) from None
        finally:
            _close(inputs)
        with suppress(PermissionError):  # Another user's process takes CAP_SYS_RESOURCE.
            resource.prlimit(popen.pid, resource.RLIMIT_NOFILE, file_limit)
        return cls(popen.pid, pidfd, (outputs[0], outputs[1]), f"{COMMAND_ID}={command_id}")

    async def run(
        self, on_lines: Callable[[list[bytes], bool], None], *, grace: float = 0.0
    ) -> None:
        """Pass on the output until the command and all its descendants have ended.

        `on_lines(lines, is_error)` gets the lines of standard output and standard error. On
        cancellation the command gets SIGTERM, and SIGKILL after `grace` seconds.
        """
        try:
            async with trio.open_nursery() as nursery:
                for output, is_error in zip(self.outputs, (False, True), strict=True):
                    nursery.start_soon(line_reader.read, output, on_lines, is_error)
                await trio.lowlevel.wait_readable(self.pidfd)
                self._ended_at = trio.current_time()
                self.returncode = self._peek()
                self.exited.set()
                await self._reap_descendants()
                nursery.cancel_scope.deadline = trio.current_time() + OUTPUT_TIMEOUT
        finally:
            await self._end(grace)
            _close(self.outputs)
            self.exited.set()
            self.gone.set()

    def send(self, how: signal.Signals) -> None:
        """Signal the process group, or those processes of it that we may signal."""
        if not self.gone.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, how)

    async def stop(
        self,
        how: signal.Signals,
        timeout: float,
        *,
        leader_first: bool = False,
        is_signalled: bool = False,
    ) -> None:
        """Send a signal to the command and its descendants; kill what is left after `timeout`.

        `leader_first`: descendants get it only if they outlive the leader. `is_signalled`: the
        leader has got it before. Shielded from cancellation: when it returns, no process is left.
        """
        with trio.CancelScope(shield=True):
            if self._is_killed:
                timeout = 0.0
            if not self.exited.is_set():
                self._kill_at = trio.current_time() + timeout
            if not leader_first:
                await self._send_to_all(how)
            elif not is_signalled and not self.exited.is_set():
                procfs.send(how, self.pid)
            with trio.move_on_after(timeout):
                await self.exited.wait()
                if leader_first:
                    await self._send_to_all(how)
            if not self.exited.is_set():
                logger.warning("pid %d did not stop within %g s: killed", self.pid, timeout)
                self.send(signal.SIGKILL)
            await self.gone.wait()

    def kill(self) -> None:
        """Kill the command and its descendants at once, even during a `stop`."""
        self._is_killed = True
        self._kill_at = 0.0
        self.send(signal.SIGKILL)

    async def _send_to_all(self, how: signal.Signals) -> None:
        self.send(how)
        for pid in await self._descendants():
            if procfs.group_of(pid) != self.pid:
                procfs.send(how, pid)

    async def _reap_descendants(self) -> None:
        """Wait for descendants that outlive the leader, as long as a stop allows, or kill them."""
        while pids := await self._descendants():
            if trio.current_time() >= max(self._kill_at, self._ended_at) + KILL_TIMEOUT:
                logger.error("cannot kill pids %s, descendants of pid %d", pids, self.pid)
                return
            if trio.current_time() >= self._kill_at:
                self._kill(pids)
            await trio.sleep(POLL_INTERVAL)
        self._is_childless = True

    def _kill(self, pids: Sequence[int]) -> None:
        self.send(signal.SIGKILL)
        for pid in pids:
            procfs.send(signal.SIGKILL, pid)

    async def _descendants(self) -> list[int]:
        find = partial(procfs.descendants, self.env_marker, self.pid)
        with trio.move_on_after(KILL_TIMEOUT):
            while True:
                try:
                    return await threads.run(find)
                except OSError:  # We have run out of descriptors, which will pass.
                    await trio.sleep(POLL_INTERVAL)
        logger.error("cannot see whether pid %d has left any descendants", self.pid)
        return []

    def _peek(self) -> int | None:
        """How the leader ended; it stays a zombie."""
        return _status(os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG))

    def _reap(self) -> int | None:
        """Reap the leader, whose pid may be reused from now on; how it ended."""
        return _status(os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG))

    async def _end(self, grace: float) -> None:
        """End all processes that still run, and reap the leader."""
        if not self.exited.is_set() and grace:
            self.send(signal.SIGTERM)
            with trio.move_on_after(grace, shield=True):
                await trio.lowlevel.wait_readable(self.pidfd)
        with trio.move_on_after(KILL_TIMEOUT, shield=True):
            self.send(signal.SIGKILL)
            await trio.lowlevel.wait_readable(self.pidfd)
            while not self._is_childless and (pids := await self._descendants()):
                self._kill(pids)
                await trio.sleep(POLL_INTERVAL)
        self.returncode = self._reap()
        if self.returncode is None:
            logger.error("cannot kill pid %d", self.pid)
        trio.lowlevel.notify_closing(self.pidfd)
        os.close(self.pidfd)


def _open_pidfd(popen: "subprocess.Popen[bytes]") -> int:
    """A pidfd of a child, which we reap from now on; without one, the child is killed."""
    try:
        pidfd = os.pidfd_open(popen.pid)
    except OSError:
        popen.kill()
        popen.wait()
        raise
    popen.returncode = 0  # The destructor of Popen must not reap it.
    return pidfd


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _status(ended: os.waitid_result | None) -> int | None:
    """The exit status, or minus the signal; None if it has not ended."""
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "is still running"
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"ended with exit status {code}"
