"""Whose settings are checked, and what runs with them already."""

import os
from pathlib import Path

from attrs import frozen

from blue_green.config.settings import Settings
from blue_green.control import client
from blue_green.source.git import Git
from blue_green.system import procfs, supervisor_marker
from blue_green.system.users import User


@frozen
class RunningSupervisor:
    """A supervisor that runs with these settings."""

    pid: int
    ports: frozenset[int]
    """Those of its live backends and of its candidate."""
    family: frozenset[int]
    """The pids of all that it has started."""


@frozen
class CheckContext:
    """What most checks are about."""

    file: Path
    settings: Settings
    owner: User
    """Whom git runs as."""
    user: User
    """Whom the app runs as."""
    git: Git
    running: RunningSupervisor | None
    may_run: bool
    """There is one, or it cannot be seen whether there is."""


class CannotTell(Exception):
    """Whether a supervisor runs cannot be seen; str() says why."""


def find_running(settings: Settings) -> RunningSupervisor | None:
    """The supervisor of this state directory, as it tells itself; raise `CannotTell`."""
    path = settings.control.socket
    try:
        *_, status = client.ask(path, {"command": "status"})
    except client.NoSupervisor as error:
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise CannotTell(str(error)) from None
        return None
    except client.Lost as error:
        raise CannotTell(str(error)) from None
    if status["event"] == "error":
        raise CannotTell(status["error"])
    slots = [slot for slot in (status["live"], status["candidate"]) if slot]
    return RunningSupervisor(
        pid=status["supervisor"]["pid"],
        ports=frozenset(port for slot in slots for port in slot["ports"]),
        family=frozenset(
            procfs.pids_of_supervisor(supervisor_marker.entry(settings.state.directory))
        ),
    )
