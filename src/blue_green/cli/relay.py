"""Run a command of another user on a terminal of its own, and relay between that and ours.

On our terminal, the command could type into it (TIOCSTI, ioctl_tty(2)), and what it leaves behind
could read what is typed next: into the shell of root. So it gets a session and a pseudoterminal, as
with sudo (use_pty) and run0, and nothing of it has a descriptor of our terminal.

There are three processes: the relay, which we are, on our terminal; the leader of the new session,
which only waits; and the command, its child. Without the leader, the command would be an orphaned
process group, which cannot be stopped from the keyboard (credentials(7), setpgid(2)).

In a pipeline, other programs may use our terminal. There the command runs in the background of its
own terminal, until it reads from it: only then we read from ours.
"""

import fcntl
import os
import pty
import resource
import select
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

TO_GROUP = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
"""Signals of the keyboard, which are for all processes in the foreground."""
PASSED_ON = (
    *TO_GROUP, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
)  # fmt: skip
WANTS_TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)
BLOCK = 65536
FOREGROUND_INTERVAL = 0.1
"""Seconds between looks whether we are in the foreground again: the shell may not signal it."""
MAX_LAST_OUTPUT = 256
"""Blocks that are read after the end: background processes may go on writing."""


def has_terminal() -> bool:
    """Whether the process has a terminal, on a standard descriptor or as /dev/tty."""
    if any(map(os.isatty, (0, 1, 2))):
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def run(start: Callable[[], NoReturn]) -> int:
    """Call `start`, which becomes the command, on a new terminal; return its exit status.

    There must be a terminal: see `has_terminal`. If a signal has killed the command, we die of
    that one, too.
    """
    ignored = {number for number in PASSED_ON if signal.getsignal(number) == signal.SIG_IGN}
    master, slave = pty.openpty()
    stops, stopped = os.pipe()
    relay = _Relay(master, stops)
    relay.set_up(slave)
    leader = os.fork()
    if leader == 0:
        os.close(master)
        _lead(slave, stopped, start, ignored, in_foreground=relay.has_input)
    os.close(slave)
    os.close(stopped)
    return _end_like(relay.run(leader, ignored))


# --- the leader of the session --------------------------------------------------------------


def _lead(
    slave: int,
    stopped: int,
    start: Callable[[], NoReturn],
    ignored: set[signal.Signals],
    *,
    in_foreground: bool,
) -> NoReturn:
    """Run the command as a job of the new terminal, and end as it does."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        if os.isatty(number):
            os.dup2(slave, number)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # So that it may set the foreground.
    command = os.fork()
    if command == 0:
        os.setpgid(0, 0)
        if in_foreground:
            os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        start()
    with suppress(OSError):  # The command may have done it, and be another program by now.
        os.setpgid(command, command)

    def pass_on(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if number in TO_GROUP else os.kill)(command, number)

    _handle(set(PASSED_ON) - ignored, pass_on)
    while True:
        _, status = os.waitpid(command, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        os.write(stopped, bytes([os.WSTOPSIG(status)]))
        os.kill(os.getpid(), signal.SIGSTOP)  # Until the relay continues us.
        os.tcsetpgrp(slave, command)
        os.killpg(command, signal.SIGCONT)
    os._exit(_end_like(status))


def _handle(numbers: set[signal.Signals], handler: Callable[[int, object], None]) -> None:
    for number in numbers:
        signal.signal(number, handler)


def _end_like(status: int) -> int:
    """The exit status of a process that has ended so; if a signal killed it, die of that one."""
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


# --- the relay ------------------------------------------------------------------------------


class _Relay:
    """Copies between our terminal and the new one."""

    def __init__(self, master: int, stops: int) -> None:
        """`stops` is where the leader writes which signal has stopped the command."""
        self._master = master
        self._stops = stops
        found = next(filter(os.isatty, (0, 1, 2)), None)
        self._terminal = os.open("/dev/tty", os.O_RDWR) if found is None else found
        self._output = next(filter(os.isatty, (1, 2)), self._terminal)
        self._is_pipeline = not (os.isatty(0) and os.isatty(1))
        """Others may write to our terminal, too, so that its output is processed there."""
        self.has_input = not self._is_pipeline
        """What is typed is for the command."""
        self._modes = termios.tcgetattr(self._terminal)
        self._is_raw = False
        self._typed = b""
        """Not yet written to the new terminal."""

    def set_up(self, slave: int) -> None:
        """Let the new terminal be like ours."""
        if self._is_in_foreground:  # Otherwise it has the modes that the shell uses itself.
            termios.tcsetattr(slave, termios.TCSANOW, self._modes)
        if self._is_pipeline:
            modes = termios.tcgetattr(slave)
            modes[tty.OFLAG] &= ~termios.OPOST
            termios.tcsetattr(slave, termios.TCSANOW, modes)
        self._copy_size()

    def run(self, leader: int, ignored: set[signal.Signals]) -> int:
        """Relay until the leader ends; its status, as of waitpid(2)."""
        wakes, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        own = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT}
        _handle({*own, *PASSED_ON} - ignored, lambda *_: None)
        try:
            self._set_mode()
            while True:
                self._copy(wakes)
                for number in self._signals(wakes):
                    if number in PASSED_ON:
                        os.kill(leader, number)
                self._copy_size()
                self._set_mode()
                pid, status = os.waitpid(leader, os.WNOHANG | os.WUNTRACED)
                if pid and os.WIFSTOPPED(status):
                    self._on_stop(leader)
                elif pid:
                    self._copy_rest()
                    return status
        finally:
            self._restore_mode()

    def _signals(self, wakes: int) -> bytes:
        return os.read(wakes, BLOCK) if select.select([wakes], [], [], 0)[0] else b""

    def _copy(self, wakes: int) -> None:
        """Wait until something can be copied, and copy it; or for a signal."""
        may_read = self._is_raw and len(self._typed) < BLOCK
        sources = [wakes, self._master, *([self._terminal] if may_read else [])]
        sinks = [self._master] if self._typed else []
        timeout = FOREGROUND_INTERVAL if self.has_input and not self._is_raw else None
        readable, writable, _ = select.select(sources, sinks, [], timeout)
        if self._master in readable:
            self._copy_output()
        if may_read and self._terminal in readable:
            try:
                self._typed += os.read(self._terminal, BLOCK)
            except OSError:  # It was hung up, which SIGHUP reports.
                self._is_raw = False
        if writable:
            self._typed = self._typed[os.write(self._master, self._typed[:1024]) :]

    def _copy_output(self) -> bool:
        try:
            data = os.read(self._master, BLOCK)
        except OSError:  # EIO: no process has the other side open.
            return False
        while data:
            data = data[os.write(self._output, data) :]
        return True

    def _copy_rest(self) -> None:
        for _ in range(MAX_LAST_OUTPUT):
            if not select.select([self._master], [], [], 0)[0] or not self._copy_output():
                return

    def _on_stop(self, leader: int) -> None:
        """Give our terminal to a command that wants it, or stop with the command."""
        if os.read(self._stops, 1)[0] in WANTS_TERMINAL and self._is_in_foreground:
            self.has_input = True
        else:
            self._restore_mode()
            # The shell sees it, and continues us later. Without one, this does nothing.
            handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, handler)
        self._set_mode()
        self._copy_size()
        os.kill(leader, signal.SIGCONT)

    @property
    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:  # It is not our controlling terminal.
            return False

    def _set_mode(self) -> None:
        """Take the keys of our terminal as they are typed, as long as they are for the command."""
        if not self._is_in_foreground:
            self._is_raw = False  # The shell has changed the mode already.
        elif self.has_input and not self._is_raw:
            self._modes = termios.tcgetattr(self._terminal)
            tty.setraw(self._terminal, termios.TCSADRAIN)
            if self._is_pipeline:
                modes = termios.tcgetattr(self._terminal)
                modes[tty.OFLAG] = self._modes[tty.OFLAG]
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, modes)
            self._is_raw = True

    def _restore_mode(self) -> None:
        if self._is_raw:
            with suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._modes)
            self._is_raw = False

    def _copy_size(self) -> None:
        with suppress(OSError):  # It was hung up.
            size = fcntl.ioctl(self._terminal, termios.TIOCGWINSZ, bytes(8))
            if size != fcntl.ioctl(self._master, termios.TIOCGWINSZ, bytes(8)):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
