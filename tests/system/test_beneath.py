"""Nothing is opened outside of the directory, with openat2 and without."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blue_green.system.beneath import DIRECTORY, open_beneath, open_stepwise, stat_cached

Open = Callable[[int, tuple[bytes, ...]], int]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "in/sub/file").write_text("file")
    (tmp_path / "in/out").symlink_to("../secret")
    (tmp_path / "in/away").symlink_to("..")
    (tmp_path / "in/absolute").symlink_to(tmp_path / "in/sub/file")
    (tmp_path / "in/loop").symlink_to("loop")
    (tmp_path / "in/within").symlink_to("sub/file")
    descriptor = os.open(tmp_path / "in", DIRECTORY)
    yield descriptor
    os.close(descriptor)


def read(how: Open, directory: int, path: str) -> bytes:
    descriptor = how(directory, tuple(path.encode().split(b"/")))
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("how", [open_beneath, open_stepwise])
def test_a_file_below_is_opened(how: Open, directory: int) -> None:
    assert read(how, directory, "sub/file") == b"file"


@pytest.mark.parametrize("how", [open_beneath, open_stepwise])
@pytest.mark.parametrize(
    "path", ["out", "away/secret", "absolute", "loop", "sub/file/x", "no", "n" * 300, "within/x"]
)
def test_nothing_else_is_opened(how: Open, directory: int, path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
    with pytest.raises(OSError):
        read(how, directory, path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_link_within_is_followed_only_with_openat2(directory: int) -> None:
    assert read(open_beneath, directory, "within") == b"file"
    with pytest.raises(OSError):
        read(open_stepwise, directory, "within")


def test_a_status_is_that_of_a_file_below(directory: int) -> None:
    read(open_beneath, directory, "sub/file")
    status = stat_cached(directory, (b"sub", b"file"))
    assert status is not None and status.st_size == len("file")
    for names in ((b"out",), (b"sub", b"none"), (b"away", b"secret"), (b"absolute",)):
        assert stat_cached(directory, names) is None


def test_a_status_on_another_file_system_is_not_looked_for() -> None:
    descriptor = os.open("/", DIRECTORY)
    try:
        assert stat_cached(descriptor, (b"proc", b"version")) is None
    finally:
        os.close(descriptor)


def test_a_parent_directory_is_never_opened(directory: int) -> None:
    with pytest.raises(OSError):
        read(open_beneath, directory, "sub/../../secret")
    with pytest.raises(ValueError):
        read(open_stepwise, directory, "sub/../../secret")
