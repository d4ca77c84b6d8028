"""How a command finds the control socket of the supervisor."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from blue_green.cli.command import warn
from blue_green.config.error import ConfigError
from blue_green.control import client
from blue_green.control.client import ControlSocket
from blue_green.system import locate, procfs, running_supervisors, services, site_tables
from blue_green.system.running_supervisors import DEFAULT_FILE, SupervisorProcess


def socket_of(
    arguments: argparse.Namespace, warn_of_file: Callable[[str], None] | None = warn
) -> ControlSocket:
    """The control socket: from `--socket`, else `$BLUE_GREEN_SOCKET`, else the settings file.

    Without any of these, it is that of a running supervisor. Problems with the file are passed to
    `warn_of_file`; with None, nobody looks for them.
    """
    if arguments.socket is not None:
        return ControlSocket(Path(arguments.socket))
    if named := os.environ.get("BLUE_GREEN_SOCKET"):
        return ControlSocket(Path(named))
    file = Path(arguments.config or DEFAULT_FILE)
    problems: list[str] = []
    running: list[Path] = []

    def find(file: Path) -> Path | None:
        found = running_supervisors.socket_of(file)
        running.extend([found] if found else [])
        return found

    try:
        path = locate.control_socket(file, problems.append, find)
    except ConfigError:
        if arguments.config is None and not file.exists() and (found := _of_running()):
            return found
        raise
    # The file here may be what is left of a supervisor for this site alone.
    if arguments.config is None and not os.path.lexists(path) and (found := _serving_here(_ours())):
        return found
    if warn_of_file is not None:
        for text in problems or _invalid_settings(file, path):
            warn_of_file(text)
    # A file says where the socket is, but any user can run something that names a file.
    is_found = path in running
    return ControlSocket.found(path, file) if is_found else ControlSocket.named_in(file, path)


def _invalid_settings(file: Path, path: Path) -> Iterator[str]:
    """What is wrong with the file, if it has changed since the supervisor opened its socket.

    Otherwise it is not parsed: to load the parser takes longer than the command itself.
    """
    with suppress(OSError):
        if file.stat().st_ctime < path.lstat().st_mtime:
            return
        from blue_green.supervisor import settings_file  # noqa: PLC0415

        try:
            settings_file.load(file)
        except ConfigError as error:
            yield f"{error}\nthe running supervisor keeps its current settings"


def _of_running() -> ControlSocket | None:
    """The control socket of the only running supervisor, or else of the one that serves this place.

    None if none runs. Raises `ConfigError` if several do, and `NoSupervisor` if none of them
    obeys our user.
    """
    ours = _ours()
    if len(ours) > 1 and (here := _serving_here(ours)):
        return here
    if len(ours) > 1:
        files = ", ".join(map(str, ours))
        raise ConfigError([f"several supervisors run here: name one with --config FILE ({files})"])
    if not ours and (others := list(running_supervisors.supervisors())):
        files = ", ".join(map(str, others))
        raise client.NotAllowed(f"only root and the user of the supervisor may do this: {files}")
    return next((ControlSocket.found(path) for path in ours.values()), None)


def _serving_here(running: Mapping[SupervisorProcess, Path]) -> ControlSocket | None:
    """The control socket of the only one of these that serves the current directory."""
    found = [path for one, path in running.items() if _serves_here(one)]
    return ControlSocket.found(found[0]) if len(found) == 1 else None


def _ours() -> dict[SupervisorProcess, Path]:
    """The running supervisors that obey our user, with their control sockets."""
    found = {one: one.control_socket for one in running_supervisors.supervisors()}
    ours = {one: path for one, path in found.items() if path and os.access(path, os.R_OK | os.W_OK)}
    # Any user can run something that looks like one, and root may connect to each.
    trusted = {one: path for one, path in ours.items() if _is_trusted(one)}
    return trusted or ours


def _is_trusted(supervisor: SupervisorProcess) -> bool:
    uid = procfs.uid_of(supervisor.pid)
    return uid in (0, os.geteuid()) or (
        uid is not None and services.is_supervisor(supervisor.pid, uid)
    )


def _serves_here(supervisor: SupervisorProcess) -> bool:
    """Whether a checkout of this supervisor contains the current directory."""
    with suppress(OSError, ConfigError, RuntimeError):
        document = locate.read(supervisor.file)
        sites = site_tables.sites_in(document, supervisor.file)
        return any(Path.cwd().is_relative_to(site.checkout.resolve()) for site in sites)
    return False
