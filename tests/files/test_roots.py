"""Which files are kept open between requests."""

from pathlib import Path

import pytest

from blue_green.files import roots as module
from blue_green.files.lookup import FoundFile
from blue_green.files.representation import Representation
from blue_green.files.roots import FileRoots
from tests.raw.files import roots, write

SIZE = 100_000


async def found(files: FileRoots, name: str) -> Representation:
    result = await files.find(f"/{name}".encode())
    assert isinstance(result, FoundFile)
    return result.itself


async def test_a_large_file_stays_open_for_the_next_request(tmp_path: Path) -> None:
    write(tmp_path / "public", {"large": bytes(10 * SIZE)})
    files = roots(tmp_path)
    large = await found(files, "large")
    assert files.opened(large) is None
    opened = await files.open(large)
    assert opened is not None
    descriptor = opened.descriptor
    del opened
    again = files.opened(large)
    assert again is not None and again.descriptor == descriptor


async def test_the_files_that_stay_open_are_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES_OPEN", 2 * SIZE)
    names = ["huge", *"abcd"]
    write(tmp_path / "public", {name: bytes(SIZE) for name in "abcd"})
    write(tmp_path / "public", {"huge": bytes(2 * SIZE + 1)})
    files = roots(tmp_path)
    wanted = {name: await found(files, name) for name in names}
    for each in wanted.values():
        await files.open(each)
    is_open = [name for name in names if files.opened(wanted[name]) is not None]
    assert is_open == ["c", "d"]
