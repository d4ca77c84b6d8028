"""What root may rely on, by who can change the way to it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blue_green.system import users

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


def test_what_is_roots_all_the_way_is_nobody_elses(top: Path, ok: Path) -> None:
    (top / "x").symlink_to("srv/../srv")
    assert users.writable_by_others(top / "x" / "ok") is None
    assert users.writable_by_others(ok / "not" / "yet") is None


def test_a_link_in_between_that_others_can_replace_counts(top: Path, bobs: Path, ok: Path) -> None:
    (bobs / "l").symlink_to(ok)
    (top / "x").symlink_to(bobs / "l")
    (top / "relative").symlink_to("bob/l")
    assert users.writable_by_others(top / "x") == bobs
    assert users.writable_by_others(top / "relative" / "not-yet") == bobs
    (top / "up").symlink_to("bob/../srv")
    assert users.writable_by_others(top / "up") == bobs


def test_a_link_of_somebody_else_in_a_sticky_directory_counts(top: Path, ok: Path) -> None:
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
