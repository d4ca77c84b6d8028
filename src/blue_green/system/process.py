"""A command that we started, and everything that it starts.

Each command gets a session and a process group of its own. Those of its descendants that leave the
group are found by a mark in their environment, and by a tag among their limits, which the mark
names. So a command is known by its pid, a pidfd, the read ends of its output pipes and that mark,
and by nothing that could not be had again from these.

A session of its own has no terminal. In ours, a command could type into our terminal (TIOCSTI,
ioctl_tty(2)), and what it types would be run by the shell from which we were started, often root's.

A dead leader is not reaped before the rest of its family has ended: as long as it is a zombie,
its number cannot be given to a stranger, and a signal to the group reaches only the group.
"""

import logging
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

from blue_green.config.settings import Settings
from blue_green.system import line_reader, procfs, rlimit_tag, root, systemd
from blue_green.system.users import User

logger = logging.getLogger(__name__)

SUPERVISOR = "BLUE_GREEN_SUPERVISOR"
"""The variable that marks every process of one supervisor, with its state directory."""
FAMILY = "BLUE_GREEN_FAMILY"
"""The variable that marks one command and its descendants."""

MISLEADING = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip
"""What git sets for its hooks: a supervisor started from one would work on that repository."""

file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The open-file limit that we were started with, and that our children get. We raise our own, and
after an upgrade in place it is that of the program before us.
"""

UNKILLABLE = 5.0
"""Seconds after which a process that does not even die of KILL is left, and reported."""
LOOK_EVERY = 0.02
"""Seconds between looks at whether a family is gone."""
LAST_WORDS = 1.0
"""Seconds to go on reading after the end, for output that a daemon's open pipe never ends."""


def set_file_limit(limit: tuple[int, int]) -> None:
    """Give our children this one: it is what the program before us in this process was given."""
    global file_limit  # noqa: PLW0603 - there is one limit for each process
    file_limit = limit


def environment(settings: Settings) -> dict[str, str]:
    """What every program of a site gets: whose it is, and `[app] env`."""
    mark = {SUPERVISOR: str(settings.state.directory)}
    return {**mark, **settings.app.env, "BLUE_GREEN_NAME": settings.app.name}


class CannotStart(Exception):
    """The command could not be started at all; `errno` is the system's reason, if it was that."""

    def __init__(self, reason: str, errno: int | None = None) -> None:
        super().__init__(reason)
        self.errno = errno


class Process:
    """One command's process group, from its start until nothing is left of it."""

    def __init__(self, pid: int, pidfd: int, outputs: tuple[int, int], mark: str) -> None:
        """Ours from now on: the child, its pidfd, and the read ends of its two output pipes."""
        self.pid = pid
        self.pidfd = pidfd
        self.outputs = outputs
        self.mark = mark
        """What its descendants have in their environment, with their tag in it, and nobody else."""
        self.began = procfs.start_time(pid)
        self.returncode: int | None = None
        """The exit status of the leader, or minus the signal that ended it."""
        self.exited = trio.Event()
        """The leader has ended; others of its family may still be there."""
        self.gone = trio.Event()
        """Nothing is left, and the last output has been passed on."""
        self._patience = 0.0
        """Until when, on trio's clock, those that outlive the leader may take to end."""
        self._has_time = True
        self._ended_at = 0.0

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
        """Start the command; raise `CannotStart` with the reason if that is not possible.

        `env` is added to our own environment. If we are root, this is not inherited, but by the
        site's own programs: see `root`. `stdin` is a descriptor, and stays the caller's. To be
        followed by `run`.
        """
        number = rlimit_tag.new(env.get(SUPERVISOR, ""))
        family = f"{number:x}"
        if root.is_us() and not inherits:
            variables = root.environment(user, env)
            try:
                argv = [root.program(argv[0], user), *argv[1:]]
            except root.Unsafe as error:
                raise CannotStart(f"cannot start {argv[0]}: {error}") from None
        else:
            kept_back = {*systemd.OURS, *MISLEADING}
            ours = {name: value for name, value in os.environ.items() if name not in kept_back}
            variables = {**ours, **user.environment, **env}
        outputs: list[int] = []
        inputs: list[int] = []
        try:
            for _ in ("stdout", "stderr"):
                output, input_ = os.pipe()
                outputs.append(output)
                inputs.append(input_)
            with rlimit_tag.inherited(number):
                popen = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env={**variables, FAMILY: family},
                    stdin=stdin,
                    stdout=inputs[0],
                    stderr=inputs[1],
                    start_new_session=True,
                    user=None if user.is_us else user.uid,
                    group=None if user.is_us and user.gid == os.getegid() else user.gid,
                    extra_groups=None if user.is_us else user.groups,
                )
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _close(outputs)
            reason = error.strerror if isinstance(error, OSError) else str(error)
            why = error.errno if isinstance(error, OSError) else None
            raise CannotStart(f"cannot start {argv[0]}: {reason} (in {cwd})", why) from None
        finally:
            _close(inputs)
        try:
            pidfd = os.pidfd_open(popen.pid)
        except OSError as error:
            popen.kill()
            popen.wait()
            _close(outputs)
            raise CannotStart(f"cannot watch {argv[0]}: {error.strerror}", error.errno) from None
        popen.returncode = 0  # Reaping is our business: it must not try, when it is forgotten.
        with suppress(PermissionError):  # For another user's it takes CAP_SYS_RESOURCE.
            resource.prlimit(popen.pid, resource.RLIMIT_NOFILE, file_limit)
        return cls(popen.pid, pidfd, (outputs[0], outputs[1]), f"{FAMILY}={family}")

    async def run(
        self, on_lines: Callable[[list[bytes], bool], None], *, grace: float = 0.0
    ) -> None:
        """Pass on the output and see the command to its end.

        `on_lines(lines, is_error)` gets the lines of standard output and of standard error. If
        cancelled, the command is asked to end, and killed after `grace` seconds.
        """
        try:
            async with trio.open_nursery() as nursery:
                for output, is_error in zip(self.outputs, (False, True), strict=True):
                    nursery.start_soon(line_reader.read, output, on_lines, is_error)
                await trio.lowlevel.wait_readable(self.pidfd)
                self._ended_at = trio.current_time()
                self.returncode = self._peek()
                self.exited.set()
                await self._see_off_the_family()
                nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS
        finally:
            await self._end(grace)
            _close(self.outputs)
            self.exited.set()
            self.gone.set()

    def send(self, how: signal.Signals) -> None:
        """Signal the whole group, or those of it that we may signal."""
        if not self.gone.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, how)

    async def stop(self, how: signal.Signals, timeout: float) -> None:
        """Ask the whole family to end; what is left of it after `timeout` seconds is killed.

        Is carried through when cancelled: at the end nothing runs any more.
        """
        with trio.CancelScope(shield=True):
            if not self._has_time:
                timeout = 0.0
            if not self.exited.is_set():
                self._patience = trio.current_time() + timeout
            self.send(how)
            for pid in await self._family():
                if procfs.group_of(pid) != self.pid:
                    procfs.send(how, pid)
            with trio.move_on_after(timeout):
                await self.exited.wait()
            if not self.exited.is_set():
                logger.warning("pid %d did not stop within %g s: killed", self.pid, timeout)
                self.send(signal.SIGKILL)
            await self.gone.wait()

    def kill(self) -> None:
        """End the whole family at once, also if it is being stopped already."""
        self._has_time = False
        self._patience = 0.0
        self.send(signal.SIGKILL)

    async def _see_off_the_family(self) -> None:
        """Wait for those that outlive the leader while a stop gives them time; then kill them."""
        while family := await self._family():
            if trio.current_time() >= max(self._patience, self._ended_at) + UNKILLABLE:
                logger.error("pids %s of pid %d's family cannot be killed", family, self.pid)
                return
            if trio.current_time() >= self._patience:
                self._kill(family)
            await trio.sleep(LOOK_EVERY)

    def _kill(self, family: Sequence[int]) -> None:
        self.send(signal.SIGKILL)
        for pid in family:
            procfs.send(signal.SIGKILL, pid)

    async def _family(self) -> list[int]:
        with trio.move_on_after(UNKILLABLE):
            while True:
                try:
                    return await trio.to_thread.run_sync(procfs.family, self.mark, self.pid)
                except OSError:  # There is no descriptor left to look with. There will be.
                    await trio.sleep(LOOK_EVERY)
        logger.error("cannot see whether anything is left of pid %d's family", self.pid)
        return []

    def _peek(self) -> int | None:
        """How the leader ended, while it stays a zombie."""
        return _status(os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG))

    def _reap(self) -> int | None:
        """How the leader ended. From now on its number may be anybody's."""
        return _status(os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG))

    async def _end(self, grace: float) -> None:
        """End what still runs, and reap the leader."""
        if not self.exited.is_set() and grace:
            self.send(signal.SIGTERM)
            with trio.move_on_after(grace, shield=True):
                await trio.lowlevel.wait_readable(self.pidfd)
        with trio.move_on_after(UNKILLABLE, shield=True):
            self.send(signal.SIGKILL)
            await trio.lowlevel.wait_readable(self.pidfd)
            while family := await self._family():
                self._kill(family)
                await trio.sleep(LOOK_EVERY)
        self.returncode = self._reap()
        if self.returncode is None:
            logger.error("pid %d cannot be killed", self.pid)
        trio.lowlevel.notify_closing(self.pidfd)
        os.close(self.pidfd)


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
        return f"was ended by {names.get(-code, f'signal {-code}')}"
    return f"ended with exit status {code}"
