"""What `init` knows of an app: how to build and start it, and what belongs to it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from attrs import evolve, field, frozen

MUST_LISTEN = "it must listen on $PORT, and should listen on 127.0.0.1 only"


@frozen
class DetectedProcess:
    """A program of the app that takes no requests."""

    name: str
    command: tuple[str, ...]
    handover: Literal["overlap", "exclusive"] = "exclusive"
    why: str = ""
    """Why that is how it is replaced."""


@frozen
class App:
    """How to start an app, and what it needs. Paths are relative to its directory."""

    kind: str
    because: str
    """How it was detected."""
    command: tuple[str, ...] = ()
    """Empty for a static site."""
    why_command: str = ""
    """The reasons for numbers in the command."""
    directory: str = ""
    """In its repository, if it is not at the top."""
    env: Mapping[str, str] = field(factory=dict)
    env_file: str = ""
    build: tuple[str, ...] = ()
    migrate: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    processes: tuple[DetectedProcess, ...] = ()
    files: Mapping[str, str] = field(factory=dict)
    """Directories to serve without the app, by the path of their requests."""
    fallback: str = ""
    """The page for all paths without a file, if this may be an application in the browser."""
    strategy: Literal["overlap", "exclusive"] = "overlap"
    why_strategy: str = ""
    path: str = "/"
    """The path to probe."""
    host: str = ""
    """The probe's Host header, if it needs one."""
    https: bool = False
    """It redirects plain HTTP to https."""
    advice: tuple[str, ...] = ()
    """Notes for before the first deploy."""

    def below(self, directory: str) -> "App":
        """The same app, with paths relative to the top directory of its repository."""
        if not directory:
            return self

        def inside(path: str) -> str:
            slash = "/" if path.endswith("/") else ""
            return f"{PurePosixPath(directory, path)}{slash}" if path else ""

        return evolve(
            self,
            directory=directory,
            link=tuple(map(inside, self.link)),
            files={path: inside(place) for path, place in self.files.items()},
            fallback=inside(self.fallback),
            env_file=inside(self.env_file),
        )


def steps(*commands: Sequence[str]) -> tuple[str, ...]:
    """One command that runs these in turn, as long as they succeed."""
    wanted = [command for command in commands if command]
    if len(wanted) < 2:
        return tuple(wanted[0]) if wanted else ()
    return ("sh", "-c", " && ".join(map(shlex.join, wanted)))
