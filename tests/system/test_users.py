"""Which paths root may rely on, by who can change them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blue_green.system import users
from blue_green.system.users import CAPABILITIES, missing_capabilities
from tests.support.other_users import NOBODY

BOB = 61_234

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


@pytest.fixture
def top() -> Iterator[Path]:
    """In a directory on the way to which nobody but root can replace anything."""
    path = Path(tempfile.mkdtemp(prefix="blue-green-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bobs(top: Path) -> Path:
    path = top / "bob"
    path.mkdir()
    os.chown(path, BOB, BOB)
    return path


@pytest.fixture
def ok(top: Path) -> Path:
    path = top / "srv" / "ok"
    path.mkdir(parents=True)
    return path


def test_a_path_that_only_root_can_change_is_safe(top: Path, ok: Path) -> None:
    (top / "x").symlink_to("srv/../srv")
    assert users.writable_by_others(top / "x" / "ok") is None
    assert users.writable_by_others(ok / "not" / "yet") is None


def test_a_link_on_the_path_that_others_can_replace_counts(top: Path, bobs: Path, ok: Path) -> None:
    (bobs / "l").symlink_to(ok)
    (top / "x").symlink_to(bobs / "l")
    (top / "relative").symlink_to("bob/l")
    assert users.writable_by_others(top / "x") == bobs
    assert users.writable_by_others(top / "relative" / "not-yet") == bobs
    (top / "up").symlink_to("bob/../srv")
    assert users.writable_by_others(top / "up") == bobs


def test_another_users_link_in_a_sticky_directory_counts(top: Path, ok: Path) -> None:
    shared = top / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "l").symlink_to(ok)
    assert users.writable_by_others(shared / "l") is None
    os.chown(shared / "l", BOB, BOB, follow_symlinks=False)
    assert users.writable_by_others(shared / "l") == shared / "l"


def test_links_that_lead_in_a_circle_are_an_error(top: Path) -> None:
    (top / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        users.writable_by_others(top / "a")


def test_a_directory_is_created_by_the_owner_of_its_parents(directory: Path) -> None:
    us = users.owner_of(Path("/proc/self"))
    them = users.named("nobody", None, us)
    (directory / "a" / "b").mkdir(parents=True)
    assert users.creator_of(directory / "a" / "b" / "c", directory, us, them) is us
    os.chown(directory / "a", NOBODY.pw_uid, NOBODY.pw_gid)
    assert users.creator_of(directory / "a" / "b" / "c", directory, us, them) is them
    assert users.creator_of(directory / "d", directory, us, them) is us


def test_missing_capabilities_of_root_are_listed() -> None:
    line = "Name:\tpython\nCapEff:\t{:016x}\nCapBnd:\t0\n"
    all_ = sum(1 << bit for bit in CAPABILITIES.values())
    assert missing_capabilities(line.format(all_)) == []
    without = all_ & ~(1 << 19) & ~1
    assert missing_capabilities(line.format(without)) == ["CAP_CHOWN", "CAP_SYS_PTRACE"]
    assert missing_capabilities("") == list(CAPABILITIES)
