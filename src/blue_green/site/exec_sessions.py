"""The commands that `blue-green exec` runs in releases, so that no release is deleted under one."""

from pathlib import Path

from attrs import frozen

from blue_green.system import procfs


@frozen
class _Session:
    pid: int
    began: int
    release: Path


class ExecSessions:
    """Remembers which client runs a command in which release: it keeps its pid when it does.

    Forgotten when the supervisor is restarted or upgraded.
    """

    def __init__(self) -> None:
        self._sessions: list[_Session] = []

    def add(self, pid: int, release: Path) -> None:
        began = procfs.start_time(pid)
        if began is not None:  # Otherwise it is in another PID namespace.
            self._sessions = [*self._alive, _Session(pid, began, release)]

    @property
    def release_paths(self) -> list[Path]:
        """The releases in which a command runs now."""
        return [session.release for session in self._alive]

    @property
    def _alive(self) -> list[_Session]:
        return [one for one in self._sessions if procfs.start_time(one.pid) == one.began]
