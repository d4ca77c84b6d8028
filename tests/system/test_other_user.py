"""A thread accesses files as another user, and only that thread, and only for a while."""

import os
import threading
from pathlib import Path

import pytest

from blue_green.system.other_user import permissions_of
from blue_green.system.users import User, owner_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
NOBODY = User(65534, 65534, (65534,), "nobody", "/", "/bin/false")


def ids() -> list[str]:
    """The ids and groups of this thread."""
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("Uid:", "Gid:", "Groups:"))]


def can_read(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True


def test_only_this_thread_has_the_permissions_and_only_in_the_block(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    entered, checked = threading.Event(), threading.Event()
    seen = []

    def act_as_nobody() -> None:
        before = ids()
        with permissions_of(NOBODY):
            seen.append(can_read(secret))
            entered.set()
            checked.wait(10)
        seen.append(can_read(secret) and ids() == before)

    thread = threading.Thread(target=act_as_nobody)
    thread.start()
    assert entered.wait(10)
    assert can_read(secret)
    checked.set()
    thread.join()
    assert seen == [False, True]


def test_a_failure_in_the_block_leaves_nothing_behind() -> None:
    before = ids()
    with pytest.raises(RuntimeError), permissions_of(NOBODY):
        raise RuntimeError
    assert ids() == before


def test_groups_count(tmp_path: Path) -> None:
    path = tmp_path / "path"
    path.write_text("x")
    path.chmod(0o040)
    os.chown(path, 0, 4321)
    for parent in path.parents:
        if parent.stat().st_mode & 0o11 != 0o11:
            parent.chmod(parent.stat().st_mode | 0o11)
    with permissions_of(NOBODY):
        assert not can_read(path)
    with permissions_of(User(65534, 65534, (4321,), "nobody", "/", "/bin/false")):
        assert can_read(path)


def test_our_own_user_needs_no_change() -> None:
    before = ids()
    with permissions_of(owner_of(Path("/proc/self"))):
        assert ids() == before
