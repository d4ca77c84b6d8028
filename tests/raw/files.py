"""A proxy that serves the files of releases, and the requests for them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blue_green.config.files_settings import FilesSettings
from blue_green.config.release_kinds import directories
from blue_green.files.roots import FileRoots
from blue_green.source.release import Release
from blue_green.system.users import User, owner_of
from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, running


def write(top: Path, files: Mapping[str, bytes | str]) -> None:
    """Create files, and the directories on the way."""
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def roots(
    *releases: Path,
    served: Mapping[str, str] | None = None,
    links: Sequence[str] = (),
    checkout: Path | None = None,
    has_app: bool = False,
    user: User | None = None,
    **settings: Any,
) -> FileRoots:
    """The files of these releases, the live one first."""
    return FileRoots(
        FilesSettings(directories(served or {"/": "public"}), **settings),
        tuple(Release(f"{number}" * 40, path) for number, path in enumerate(releases, 1)),
        user or owner_of(Path("/proc/self")),
        checkout or Path("/nonexistent"),
        tuple(links),
        has_app,
    )


@asynccontextmanager
async def serving(files: FileRoots, **settings: Any) -> AsyncIterator[RunningProxy]:
    """The proxy with these files, and a backend behind it that answers `ok`."""
    async with running(**settings) as proxy:
        proxy.site.files = files
        yield proxy


async def fetch(proxy: RunningProxy, path: str, *lines: str, method: str = "GET") -> ParsedMessage:
    """The answer to one request on a new connection."""
    head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: h", *lines))
    client = await proxy.ask(f"{head}\r\n".encode())
    return await client.answer(method)
