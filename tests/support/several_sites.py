"""Several real sites behind one real supervisor."""

import signal
import socket
import subprocess
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import tomli_w

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
from tests.support.site import free_ports
from tests.support.site_load import SiteLoad
from tests.waiting import PATIENCE, until


class HostedSite:
    """One of several sites: its checkout, its settings and its part of the state."""

    def __init__(self, name: str, app: AppCheckout, state: Path) -> None:
        self.name = name
        self.host = f"{name}.example.com"
        self.app = app
        self.checkout = self.app.path
        self.state = state
        self.settings: dict[str, Any] = {
            "hosts": [self.host],
            "app": {
                "command": COMMAND,
                "ports": free_ports(2),
                "stop_timeout": "2s",
                "env": self.app.env,
            },
            "git": {"checkout": str(self.checkout)},
            "health": {"path": "/healthz", "interval": "100ms", "start_timeout": "15s"},
            "swap": {"soak": 0, "drain_timeout": "10s"},
        }

    def change(self, **settings: Any) -> None:
        """Change settings; the keys of a section are merged into those that it has."""
        for name, value in settings.items():
            before = self.settings.get(name, {})
            self.settings[name] = {**before, **value} if isinstance(value, dict) else value

    def commit(self, text: str, files: dict[str, str] | None = None, **behaviour: Any) -> str:
        """Commit a version of the app, whose answers begin with the name of the site."""
        return self.app.commit(f"{self.name} {text}", files, **behaviour)

    def remembered(self) -> dict[str, Any]:
        """The state file; nothing while there is none."""
        file = self.state / "state.toml"
        return tomllib.loads(file.read_text()) if file.exists() else {}

    def releases(self) -> list[str]:
        """The names of the directories that hold releases."""
        directory = self.state / "releases"
        return sorted(path.name for path in directory.iterdir() if path.is_dir())

    def processes(self) -> list[int]:
        """All processes of this site."""
        return procfs.pids_of_supervisor(supervisor_marker.entry(self.state))


class SeveralSites:
    """A settings file that includes one for each site, and the supervisor that serves them all."""

    def __init__(self, directory: Path, *names: str, **sections: dict[str, Any]) -> None:
        """Sites with these names, each with a first release; `sections` are of the process."""
        self.directory = directory
        self.state = directory / "state"
        self.config_file = directory / "supervisor.toml"
        self.log_file = directory / "log"
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None
        self.sections: dict[str, Any] = {
            "include": ["sites/*.toml"],
            "proxy": {"listen": [f"127.0.0.1:{self.port}"], "access_log": False},
            "state": {"directory": str(self.state)},
        }
        self.sites: dict[str, HostedSite] = {}
        (directory / "sites").mkdir(parents=True)
        self.configure(**sections)
        for name in names:
            self.add(name).commit("one")

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change settings of the process, section by section, and write the file."""
        for section, values in sections.items():
            self.sections[section] = {**self.sections.get(section, {}), **values}
        self.config_file.write_text(tomli_w.dumps(self.sections))

    def file_of(self, name: str) -> Path:
        return self.directory / "sites" / f"{name}.toml"

    def add(self, name: str, existing: AppCheckout | None = None, **settings: Any) -> HostedSite:
        """Write the file of a new site. Without a checkout, it gets one that has no commit yet."""
        app = existing or AppCheckout(self.directory / name)
        self.sites[name] = site = HostedSite(name, app, self.state / "sites" / name)
        self.change(name, **settings)
        return site

    def change(self, name: str, **settings: Any) -> None:
        """Change settings of a site, and write its file."""
        site = self.sites[name]
        site.change(**settings)
        self.file_of(name).write_text(tomli_w.dumps(site.settings))

    def __getitem__(self, name: str) -> HostedSite:
        return self.sites[name]

    # --- the supervisor ---

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SeveralSites"]:
        """The real command, until the block ends; then it must stop cleanly and leave nothing."""
        async with supervised(self):
            for name in self.sites:
                await self.until_phase(name, "serving")
            yield self

    def start(self, *, held: socket.socket | None = None, **env: str) -> None:
        """Start the real command. Whoever does has to end it, too."""
        self.process = start_supervisor(
            self.config_file, self.log_file, program=BLUE_GREEN, held=held, env=env
        )

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor and wait for its end; its exit status."""
        assert self.process is not None
        return await stop_supervisor(self.process, how, self.log_file)

    async def cli(self, *words: str, cwd: Path | None = None) -> Done:
        """Run the real command against this supervisor, to its end."""
        return await run_command(*words, "--config", str(self.config_file), env={}, cwd=cwd)

    async def check(self) -> Done:
        """Run `check` on the settings file."""
        return await run_command("check", str(self.config_file), env={})

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask the supervisor over its socket; the last object of its answer."""
        return await control.last_answer(self.state / "control.sock", command, **arguments)

    async def status(self) -> dict[str, Any]:
        return await self.ask("status")

    async def status_of(self, name: str) -> dict[str, Any]:
        """The status of one site, as in the status of all."""
        status: dict[str, Any] = (await self.status())["sites"][name]
        return status

    async def pids(self) -> dict[str, list[int] | None]:
        """Of the live backends of each site; None while it has none."""
        status = (await self.status())["sites"]
        return {name: site.get("live", {}).get("pids") for name, site in status.items()}

    async def until_phase(self, name: str, phase: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait until the supervisor is there and this site is in this phase."""
        ask = self._ask_for(name)
        return await status_waits.until_phase(name, phase, self, ask, timeout)

    async def until_live(
        self, name: str, revision: str, timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until this revision is live and the swap is over."""
        return await status_waits.until_live(name, revision, self._ask_for(name), timeout)

    def _ask_for(self, name: str) -> status_waits.Ask:
        async def ask() -> status_waits.Status | None:
            status: status_waits.Status | None = (await self.status())["sites"].get(name)
            return status

        return ask

    # --- clients ---

    async def get(self, name: str, path: str = "/") -> Answer:
        """Send one request to a site, on a connection of its own."""
        async with HttpClient(self.port) as http:
            return await http.get(path, Host=self.sites[name].host)

    async def text_of(self, name: str) -> Any:
        """The text of the release that answers, without the name of the site."""
        answer = await self.get(name)
        assert answer.status == 200, answer
        site, _, text = answer.json()["text"].partition(" ")
        assert site == name
        return text

    def load(self, name: str, **differing: Any) -> SiteLoad:
        return SiteLoad(name, self.port, self.sites[name].host, **differing)

    @asynccontextmanager
    async def loaded(self, *names: str) -> AsyncIterator[dict[str, SiteLoad]]:
        """Load on these sites, or on all, none of which may fail a request."""
        loads = {name: self.load(name) for name in names or self.sites}
        async with AsyncExitStack() as stack:
            for load in loads.values():
                await stack.enter_async_context(load.going_on())
            yield loads
        failures = {name: load.failures for name, load in loads.items() if load.failures}
        assert failures == {}, self.log()

    # --- what can be seen ---

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    async def until_logged(self, text: str) -> None:
        """Wait until the log has this."""
        await until(f"{text!r} in the log", lambda: text in self.log())

    def processes(self) -> dict[str, list[int]]:
        """All processes of each site that has any."""
        found = {name: site.processes() for name, site in self.sites.items()}
        return {name: pids for name, pids in found.items() if pids}
