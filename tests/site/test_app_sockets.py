"""Where the Unix sockets of apps are, and what may be in the way there."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from blue_green.site import app_sockets
from blue_green.source.failure import MachineFault
from blue_green.system.unix_socket import LONGEST_PATH
from tests.support.other_users import NOBODY, as_root
from tests.support.processes import US


def path_in(state: Path) -> Path:
    [address] = app_sockets.addresses(state, "blue", 1)
    assert address.path is not None
    return address.path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def leave_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def test_each_slot_has_a_private_directory_whatever_the_umask_is(directory: Path) -> None:
    before = os.umask(0)
    try:
        app_sockets.prepare(path_in(directory), US)
    finally:
        os.umask(before)
    assert path_in(directory) == directory / "sockets" / "blue" / "1.sock"
    assert mode_of(directory / "sockets" / "blue") == 0o700
    assert mode_of(directory / "sockets") == 0o711


def test_a_directory_that_others_may_write_is_closed_to_them(directory: Path) -> None:
    app_sockets.prepare(path_in(directory), US)
    for place in ("sockets", "sockets/blue"):
        (directory / place).chmod(0o777)
    app_sockets.prepare(path_in(directory), US)
    assert (mode_of(directory / "sockets"), mode_of(directory / "sockets/blue")) == (0o711, 0o700)


def test_the_socket_of_an_earlier_process_is_removed(directory: Path) -> None:
    path = path_in(directory)
    app_sockets.prepare(path, US)
    leave_socket(path)
    app_sockets.prepare(path, US)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_anything_else_in_the_place_of_the_socket_stays_and_is_reported(
    directory: Path, kind: str
) -> None:
    path = path_in(directory)
    app_sockets.prepare(path, US)
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
    with pytest.raises(MachineFault, match=f"{path} is in the way of the app's socket"):
        app_sockets.prepare(path, US)
    assert path.exists()


def test_a_symbolic_link_in_the_place_of_the_socket_is_removed_and_its_target_stays(
    directory: Path,
) -> None:
    path = path_in(directory)
    app_sockets.prepare(path, US)
    leave_socket(directory / "another.sock")
    path.symlink_to(directory / "another.sock")
    app_sockets.prepare(path, US)
    assert not path.is_symlink()
    assert (directory / "another.sock").is_socket()


@pytest.mark.parametrize("place", ["sockets", "sockets/blue"])
def test_a_symbolic_link_in_the_place_of_a_directory_is_not_followed(
    directory: Path, place: str
) -> None:
    (directory / "elsewhere").mkdir(mode=0o755)
    (directory / place).parent.mkdir(exist_ok=True)
    (directory / place).symlink_to(directory / "elsewhere")
    with pytest.raises(MachineFault, match=r"cannot create .*/blue for sockets"):
        app_sockets.prepare(path_in(directory), US)
    assert mode_of(directory / "elsewhere") == 0o755
    assert list((directory / "elsewhere").iterdir()) == []


@as_root
def test_a_directory_of_another_user_is_not_used(directory: Path) -> None:
    (directory / "sockets").mkdir()
    os.chown(directory / "sockets", NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(MachineFault, match="sockets belongs to another user: remove it"):
        app_sockets.prepare(path_in(directory), US)


def test_sockets_whose_paths_would_be_too_long_are_elsewhere(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sockets, "RUN", directory)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    state = directory / ("x" * LONGEST_PATH)
    path = path_in(state)
    assert path.parents[2] == directory
    assert path_in(state) == path, "also after a restart"
    assert path_in(directory / ("y" * LONGEST_PATH)) != path
    app_sockets.prepare(path, US)
    leave_socket(path)
    assert mode_of(path.parent) == 0o700


def test_a_path_that_is_too_long_everywhere_is_reported_with_what_to_do(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = directory / ("x" * LONGEST_PATH)
    monkeypatch.setattr(app_sockets, "RUN", long)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(MachineFault, match=r"is too long: .* use a shorter state directory"):
        app_sockets.prepare(path_in(long), US)


@pytest.mark.parametrize("length", [LONGEST_PATH - 23, LONGEST_PATH - 22])
def test_every_path_that_is_given_out_can_be_bound(
    directory: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sockets, "RUN", directory)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    state = directory / ("x" * (length - len(bytes(directory)) - 1))
    state.mkdir()
    [*_, last] = app_sockets.addresses(state, "green", 999)
    assert last.path is not None
    app_sockets.prepare(last.path, US)
    leave_socket(last.path)
    app_sockets.prepare(last.path, US)
