"""The input of checks: settings, users, git, and a supervisor that already runs with them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from blue_green.config.settings import Settings, SiteSettings
from blue_green.control import client
from blue_green.control.client import ControlSocket
from blue_green.source.git import Git
from blue_green.system import procfs, supervisor_marker
from blue_green.system.users import User


@frozen
class RunningSupervisor:
    """A supervisor that already runs with these settings."""

    pid: int
    ports: frozenset[int]
    """Of its live backends and of its candidates."""
    pids: Mapping[str, frozenset[int]]
    """The pids of all processes that it has started, by the name of their site."""
    certificates: Mapping[str, Sequence[Mapping[str, Any]]]
    """Of each host, as in `blue-green status --json`, by the name of the site."""
    maintenance: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """The same of each site that is in maintenance."""

    @property
    def all_pids(self) -> frozenset[int]:
        return frozenset().union(*self.pids.values())


@frozen
class CheckContext:
    """The input of most checks."""

    file: Path
    settings: Settings
    site: SiteSettings
    owner: User
    """The user that git runs as."""
    user: User
    """The user that the app runs as."""
    git: Git
    running: RunningSupervisor | None
    may_run: bool
    """A supervisor runs, or it is not known whether one does."""
    service_runs_as_us: bool = True
    """The supervisor will have the rights of this check, as far as that is known."""


class UnknownSupervisor(Exception):
    """It is not known whether a supervisor runs; str() says why."""


def find_running(settings: Settings) -> RunningSupervisor | None:
    """Ask the supervisor of this state directory about itself; raise `UnknownSupervisor`."""
    path = settings.control.socket
    to = ControlSocket.named_in(settings.place.file, path)
    try:
        *_, status = client.ask(to, {"command": "status"})
    except client.WrongPeer as error:
        raise UnknownSupervisor(str(error)) from None
    except client.NoSupervisor as error:
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise UnknownSupervisor(str(error)) from None
        return None
    except client.ConnectionLost as error:
        raise UnknownSupervisor(str(error)) from None
    if status["event"] == "error":
        raise UnknownSupervisor(status["error"])
    sites = status["sites"] if "sites" in status else {settings.sites[0].name: status}
    slots = [site.get(key) for site in sites.values() for key in ("live", "candidate")]
    markers = {site.name: supervisor_marker.entry(site.state_directory) for site in settings.sites}
    return RunningSupervisor(
        pid=status["supervisor"]["pid"],
        ports=frozenset(port for slot in slots if slot for port in slot["ports"]),
        pids={
            name: frozenset(procfs.pids_of_supervisor(marker)) for name, marker in markers.items()
        },
        certificates={name: site.get("certificates", ()) for name, site in sites.items()},
        maintenance={name: on for name, site in sites.items() if (on := site.get("maintenance"))},
    )
