"""A real site for end-to-end tests: a git checkout, and the real command supervising it."""

import os
import signal
import socket
import subprocess
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import tomli_w
import trio

from blue_green.system import procfs, supervisor_marker
from tests.support import control, status_waits
from tests.support.app_checkout import COMMAND, AppCheckout
from tests.support.http_client import Answer, HttpClient
from tests.support.launch import (
    BLUE_GREEN,
    Done,
    run_command,
    start_supervisor,
    stop_supervisor,
    supervised,
)
from tests.waiting import PATIENCE, until


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on, below the range for outgoing connections.

    One from that range could be taken, before the test uses it, by any connection at all. Tests
    that run in another process at the same time look in another part.
    """
    found: list[int] = []
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    low, high = 10_000 + part * 5_000, 15_000 + part * 5_000
    start = low + (os.getpid() * 37) % 5_000
    for port in [*range(start, high), *range(low, start)]:
        if port in _given:
            continue
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        _given.add(port)
        if len(found) == count:
            return found
    raise AssertionError("there are no free ports")


_given: set[int] = set()

LOAD_PAUSE = 0.03
"""Seconds between an answer and the next request of a reader."""


class RealSite:
    """A checkout with the test app in it, its settings, and what became of its requests."""

    def __init__(self, directory: Path, **sections: dict[str, Any]) -> None:
        self.directory = directory
        self.app = app = AppCheckout(directory)
        self.checkout = app.path
        self.commit, self.draft, self.head = app.commit, app.draft, app.head
        self.put_up, self.take_down_barriers = app.put_up, app.take_down_barriers
        self.journal_file, self.journal = app.journal_file, app.journal
        self.barriers, self.worktrees = app.barriers, app.worktrees
        self.state = directory / "state"
        self.config_file = directory / "supervisor.toml"
        self.log_file = directory / "log"
        self.port, self.blue, self.green = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None
        self.program: Sequence[str] = BLUE_GREEN
        """How Python runs the supervisor."""
        self.sections: dict[str, Any] = {
            "app": {
                "name": "test",
                "command": COMMAND,
                "ports": [self.blue, self.green],
                "stop_timeout": "2s",
                "env": app.env,
            },
            "git": {"checkout": str(self.checkout)},
            "health": {"path": "/healthz", "interval": "100ms", "start_timeout": "15s"},
            "swap": {"soak": 0, "drain_timeout": "10s"},
            "proxy": {"listen": [f"127.0.0.1:{self.port}"], "access_log": False},
            "state": {"directory": str(self.state)},
        }
        self.configure(**sections)

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change settings, section by section, and write the file; None removes one."""
        for section, values in sections.items():
            before = self.sections.get(section, {})
            self.sections[section] = {**before, **values}
            if "env" in before:
                self.sections[section]["env"] = {**before["env"], **values.get("env", {})}
            for key in [key for key, value in values.items() if value is None]:
                del self.sections[section][key]
        self.config_file.write_text(tomli_w.dumps(self.sections))

    # --- the supervisor ---

    @asynccontextmanager
    async def running(self, *, wait_for: str = "serving") -> AsyncIterator["RealSite"]:
        """The real command, until the block ends; then it must stop cleanly and leave nothing."""
        async with supervised(self):
            await self.until_phase(wait_for)
            yield self

    def start(self, *, held: socket.socket | None = None, **env: str) -> None:
        """Start the real command. Whoever does has to end it, too.

        It gets the socket that is `held` as from systemd.
        """
        self.process = start_supervisor(
            self.config_file, self.log_file, program=self.program, held=held, env=env
        )

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor and wait for its end; its exit status."""
        assert self.process is not None
        return await stop_supervisor(self.process, how, self.log_file)

    async def cli(self, *words: str, **env: str) -> Done:
        """Run the real command against this supervisor, to its end."""
        return await self.run(*words, "--config", str(self.config_file), **env)

    async def run(self, *words: str, **env: str) -> Done:
        """Run the real command, to its end."""
        return await run_command(*words, env=env)

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask the supervisor over its socket; the last object of its answer."""
        return await control.last_answer(self.state / "control.sock", command, **arguments)

    async def status(self) -> dict[str, Any]:
        return await self.ask("status")

    async def until_phase(self, phase: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait until the supervisor is there and in this phase."""
        return await status_waits.until_phase("the site", phase, self, self.status, timeout)

    async def until_live(self, revision: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait until this revision is live and no swap is in hand."""
        return await status_waits.until_live("the site", revision, self.status, timeout)

    # --- its clients ---

    async def get(self, path: str) -> Answer:
        """Ask once, on a connection of its own."""
        async with HttpClient(self.port) as http:
            return await http.get(path)

    async def post(self, path: str, body: bytes) -> Answer:
        async with HttpClient(self.port) as http:
            return await http.post(path, body)

    @asynccontextmanager
    async def steady_load(self) -> AsyncIterator[list[str]]:
        """A few readers while the block lasts, who must not notice anything of it.

        Gives the texts of the releases that have answered, one for each answer.
        """
        texts: list[str] = []
        failures: list[str] = []

        async def read() -> None:
            while True:
                try:
                    answer = await self.get("/load")
                    assert answer.status == 200, answer.body.decode()
                    texts.append(answer.json()["text"])
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    failures.append(repr(error))
                await trio.sleep(LOAD_PAUSE)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
            await until("the load has begun", lambda: texts or failures)
            yield texts
            nursery.cancel_scope.cancel()
        assert failures == [], f"of {len(texts)} requests: {failures}"

    # --- what can be seen ---

    def remembered(self) -> dict[str, Any]:
        """The state file; nothing while there is none."""
        file = self.state / "state.toml"
        return tomllib.loads(file.read_text()) if file.exists() else {}

    async def until_logged(self, text: str) -> None:
        """Wait until the log has this: it is written a moment after what it tells of."""
        await until(f"{text!r} in the log", lambda: text in self.log())

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    async def until_only_run(self, pids: list[int]) -> None:
        """Wait until these are all processes of this site: after a swap git forgets releases."""
        seen: list[list[int]] = []

        def look() -> bool:
            seen[:] = [self.processes()]
            return seen == [pids]

        try:
            await until(f"only {pids} run", look)
        except AssertionError:
            raise AssertionError(f"only {pids} should run, and these do: {seen[0]}") from None

    def processes(self) -> list[int]:
        """All processes that belong to this site, but the supervisor.

        For the moment in which it starts a command, it has that command's tag itself.
        """
        found = procfs.pids_of_supervisor(supervisor_marker.entry(self.state))
        return [pid for pid in found if self.process is None or pid != self.process.pid]

    def releases(self) -> list[str]:
        """The names of the directories that hold releases."""
        directory = self.state / "releases"
        return sorted(path.name for path in directory.iterdir() if path.is_dir())
