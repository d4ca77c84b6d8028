"""Why a command could not be started."""

import errno
from pathlib import Path


class CannotStart(Exception):
    """The command could not be started; `errno` is the system's error number, if there is one."""

    def __init__(self, reason: str, errno: int | None = None) -> None:
        super().__init__(reason)
        self.errno = errno


class MissingDirectory(CannotStart):
    """There is no such directory to start it in."""


def because(program: str, cwd: Path, error: Exception) -> CannotStart:
    """The reason why `subprocess.Popen` raised this error for a program in this directory."""
    if not isinstance(error, OSError):
        return CannotStart(f"cannot start {program}: {error} (in {cwd})")
    # Popen names the directory, and not the program, if it cannot be entered.
    if error.filename == cwd and error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MissingDirectory(f"cannot start {program}: there is no directory {cwd}", error.errno)
    return CannotStart(f"cannot start {program}: {error.strerror} (in {cwd})", error.errno)
