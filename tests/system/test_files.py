"""Files that others may have placed are read only if that ends and is permitted."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from blue_green.system import files
from blue_green.system.files import UnfitFile

UNFIT: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a link to a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a directory": Path.mkdir,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_only_regular_files_are_read(path: Path, make: Callable[[Path], object]) -> None:
    make(path)
    with pytest.raises(UnfitFile, match="is not a regular file") as caught:
        files.read_bounded(path, 100)
    assert caught.value.filename == str(path)
    with pytest.raises(OSError):
        files.open_own(path, os.O_RDWR)


def test_a_missing_file_is_an_ordinary_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_bounded(path, 100)


def test_a_file_is_read_up_to_the_limit_and_refused_over_it(path: Path) -> None:
    path.write_bytes(b"x" * 100)
    assert files.read_bounded(path, 100) == b"x" * 100
    assert files.read_start(path, 3) == b"xxx"
    with pytest.raises(UnfitFile, match="is larger than 99 bytes"):
        files.read_bounded(path, 99)


def test_a_sparse_file_of_a_terabyte_costs_nothing(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnfitFile, match="is larger than"):
        files.read_bounded(path, 100)


def test_a_proc_file_that_seems_empty_is_read_up_to_the_limit() -> None:
    assert files.read_text(Path("/proc/self/comm"), 100).endswith("\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_an_ordinary_error(path: Path) -> None:
    path.touch(mode=0o200)
    with pytest.raises(PermissionError):
        files.read_bounded(path, 100)


def test_links_are_followed_but_not_out_of_the_directory(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "inside-out"
    for directory in (inside, outside):
        directory.mkdir()
        (directory / "file").write_text(directory.name)
    (inside / "near").symlink_to("file")
    (inside / "far").symlink_to("../inside-out/file")
    (inside / "directory").symlink_to(outside)
    assert files.read_text(inside / "near", 100, inside=inside) == "inside"
    assert files.read_text(inside / "far", 100) == "inside-out"
    for name in ("far", "directory/file"):
        with pytest.raises(UnfitFile, match="leads out of"):
            files.read_text(inside / name, 100, inside=inside)


def test_an_own_file_is_created_without_following_a_link_in_its_place(path: Path) -> None:
    descriptor = files.open_own(path, os.O_RDWR)
    os.close(descriptor)
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(path.with_name("other"))
    path.symlink_to("other")
    with pytest.raises(OSError, match="symbolic links"):
        files.open_own(path, os.O_RDWR)


def test_a_file_that_cannot_be_written_leaves_nothing_beside_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"old")

    def disk_is_full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        files.replace(path, b"new")
    assert [found.read_bytes() for found in path.parent.iterdir()] == [b"old"]
