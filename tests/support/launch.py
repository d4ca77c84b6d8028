"""Start the real supervisor as a process, run the real command, and end both."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio
from attrs import frozen

from tests.waiting import PATIENCE

GIVE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""A program that gives a listening socket to the next one as systemd does (sd_listen_fds(3))."""

BLUE_GREEN = ("-m", "blue_green")


@frozen
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def start_supervisor(
    config_file: Path,
    log_file: Path,
    *,
    program: Sequence[str] = BLUE_GREEN,
    held: socket.socket | None = None,
    env: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start `run` with this file; its log is added to `log_file`.

    `program` is how Python runs it. It gets the socket that is `held` as from systemd.
    """
    command = [sys.executable, *program, "run", str(config_file)]
    if held is not None:
        command = [sys.executable, "-ISc", GIVE, str(held.fileno()), *command]
    with log_file.open("ab") as log:
        return subprocess.Popen(
            command,
            stderr=log,
            stdin=subprocess.DEVNULL,
            pass_fds=() if held is None else (held.fileno(),),
            env={**os.environ, **env},
        )


async def stop_supervisor(
    process: subprocess.Popen[bytes], how: signal.Signals, log_file: Path
) -> int:
    """Signal the supervisor and wait for its end; its exit status."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return await trio.to_thread.run_sync(process.wait, PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"it did not stop:\n{log_file.read_text()}") from None


class SupervisedSites(Protocol):
    """One site, or several, and their supervisor."""

    def start(self) -> None: ...
    async def stop(self) -> int: ...
    def log(self) -> str: ...
    def processes(self) -> Collection[object]:
        """What runs of the sites."""


@asynccontextmanager
async def supervised(sites: SupervisedSites) -> AsyncIterator[None]:
    """The real command, until the block ends; then it must stop cleanly and leave nothing."""
    sites.start()
    try:
        yield
    except BaseException:
        print(sites.log())
        raise
    finally:
        with trio.CancelScope(shield=True):
            code = await sites.stop()
    assert code == 0, f"the supervisor ended with {code}:\n{sites.log()}"
    assert not sites.processes(), f"left behind: {sites.processes()}\n{sites.log()}"


async def run_command(*words: str, env: Mapping[str, str], cwd: Path | None = None) -> Done:
    """Run the real command, to its end."""
    done = await trio.run_process(
        [sys.executable, "-m", "blue_green", *words],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **env},
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
