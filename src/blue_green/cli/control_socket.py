"""How a command finds the control socket of the supervisor."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from blue_green.cli.command import warn
from blue_green.config.error import ConfigError
from blue_green.control import client
from blue_green.system import locate, running_supervisors, site_tables
from blue_green.system.running_supervisors import DEFAULT_FILE, SupervisorProcess


def socket_of(
    arguments: argparse.Namespace, warn_of_file: Callable[[str], None] | None = warn
) -> Path:
    """The control socket: from `--socket`, else `$BLUE_GREEN_SOCKET`, else the settings file.

    Without any of these, it is that of a running supervisor. Problems with the file are passed to
    `warn_of_file`; with None, nobody looks for them.
    """
    if arguments.socket is not None:
        return Path(arguments.socket)
    if named := os.environ.get("BLUE_GREEN_SOCKET"):
        return Path(named)
    file = Path(arguments.config or DEFAULT_FILE)
    problems: list[str] = []
    try:
        path = locate.control_socket(file, problems.append, running_supervisors.socket_of)
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
    return path


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


def _of_running() -> Path | None:
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
        raise client.NoSupervisor(f"only root and the user of the supervisor may do this: {files}")
    return next(iter(ours.values()), None)


def _serving_here(running: Mapping[SupervisorProcess, Path]) -> Path | None:
    """The control socket of the only one of these that serves the current directory."""
    found = [path for one, path in running.items() if _serves_here(one)]
    return found[0] if len(found) == 1 else None


def _ours() -> dict[SupervisorProcess, Path]:
    """The running supervisors that obey our user, with their control sockets."""
    found = {one: one.control_socket for one in running_supervisors.supervisors()}
    return {one: path for one, path in found.items() if path and os.access(path, os.R_OK | os.W_OK)}


def _serves_here(supervisor: SupervisorProcess) -> bool:
    """Whether a checkout of this supervisor contains the current directory."""
    with suppress(OSError, ConfigError, RuntimeError):
        document = locate.read(supervisor.file)
        sites = site_tables.sites_in(document, supervisor.file)
        return any(Path.cwd().is_relative_to(site.checkout.resolve()) for site in sites)
    return False
