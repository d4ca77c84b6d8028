"""Directory trees that others change meanwhile: removed, or given away."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blue_green.system import tree_ownership, trees
from tests.support.other_users import NOBODY, PYTHON, as_root

OTHER_USER = 61_234
"""A user of no name."""


def plant(path: Path, *, owner: int = -1, names: tuple[str, ...] = ("a", "b/c", "b/d/e")) -> Path:
    """A tree with these files."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    for place in (path, *path.rglob("*")):
        os.chown(place, owner, owner, follow_symlinks=False)
    return path


def names_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


# --- removed --------------------------------------------------------------------------------


async def test_a_tree_is_removed_and_nothing_is_left_beside_it(directory: Path) -> None:
    tree = plant(directory / "tree")
    (tree / "empty").mkdir()
    (tree / "gone").symlink_to("/nowhere")
    os.mkfifo(tree / "b" / "fifo")
    await trees.remove(tree)
    await trees.remove(tree)
    assert names_in(directory) == []


async def test_a_link_is_removed_and_not_what_it_leads_to(directory: Path) -> None:
    kept = plant(directory / "kept")
    tree = plant(directory / "tree")
    (tree / "b" / "link").symlink_to(kept)
    (directory / "link").symlink_to(kept)
    await trees.remove(tree)
    await trees.remove(directory / "link")
    assert names_in(directory) == ["kept"]
    assert names_in(kept) == ["a", "b"]


async def test_a_tree_of_any_depth_is_removed_with_few_open_descriptors(directory: Path) -> None:
    tree = directory / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1200):  # Longer than any path may be, and more than Python recurses.
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    await trees.remove(tree)
    assert names_in(directory) == []


REMOVE = """
import os, sys, trio
from pathlib import Path
from blue_green.system import tree_ownership, trees
os.setgroups([]), os.setgid({gid}), os.setuid({uid})
try:
    trio.run(trees.remove, Path(sys.argv[1]))
except trees.TreeError as error:
    print(error)
"""


def remove_as(uid: int, path: Path) -> str:
    """What removing it as this user is answered."""
    done = subprocess.run(
        [sys.executable, "-c", REMOVE.format(uid=uid, gid=uid), str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@as_root
def test_read_only_directories_are_removed_also_without_root(directory: Path) -> None:
    """As Go leaves its module cache."""
    os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
    tree = plant(directory / "tree", owner=NOBODY.pw_uid)
    for place in sorted(tree.rglob("*"), reverse=True):
        place.chmod(0o555 if place.is_dir() else 0o444)
    (tree / "b").chmod(0)
    tree.chmod(0o500)
    assert remove_as(NOBODY.pw_uid, tree) == ""
    assert names_in(directory) == []


@as_root
def test_an_unremovable_tree_is_named_and_moved_out_of_the_way(directory: Path) -> None:
    os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
    tree = plant(directory / "tree", owner=NOBODY.pw_uid)
    os.chown(tree / "b", 0, 0)
    assert remove_as(NOBODY.pw_uid, tree) == f"{tree / 'b'}: Permission denied\n"
    assert not tree.exists()
    [left] = names_in(directory)
    assert left.startswith(trees.LEFTOVER)


@as_root
async def test_a_tree_that_was_moved_out_of_the_way_is_removed_later(directory: Path) -> None:
    os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
    tree = plant(directory / "tree", owner=NOBODY.pw_uid)
    os.chown(tree / "b", 0, 0)
    remove_as(NOBODY.pw_uid, tree)
    [left] = directory.iterdir()
    await trees.remove(left)
    assert names_in(directory) == []


@as_root
async def test_root_removes_a_tree_of_several_owners_that_nobody_else_could_mix(
    directory: Path,
) -> None:
    tree = plant(directory / "tree", owner=NOBODY.pw_uid)
    os.chown(tree / "b", 0, 0)  # As after `sudo mkdir`.
    (tree / "sticky").mkdir()
    plant(tree / "sticky", owner=NOBODY.pw_uid)
    (tree / "sticky").chmod(0o1777)
    await trees.remove(tree)
    assert names_in(directory) == []


@as_root
async def test_root_deletes_nothing_that_the_owner_of_the_tree_could_not(directory: Path) -> None:
    """A directory that a group may write can be moved by its members, with all that is in it."""
    shared = plant(directory / "shared", owner=OTHER_USER)
    shared.chmod(0o777)
    tree = plant(directory / "tree", owner=NOBODY.pw_uid)
    shared.rename(tree / "moved")
    with pytest.raises(trees.TreeError, match=f"belongs to user {OTHER_USER}, and the directory"):
        await trees.remove(tree)
    for _ in range(2):  # Not either when only what root has put aside tells of it.
        [left] = directory.iterdir()
        assert [file.read_text() for file in left.rglob("e")] == ["b/d/e"]
        with pytest.raises(trees.TreeError, match="root refused to delete it before"):
            await trees.remove(left)


SWAP = """
import ctypes, os, sys
libc, exchange = ctypes.CDLL(None), 2
root, target = sys.argv[1:]
for n in range(3):
    os.makedirs(f"{root}/tree/{n}/x/y")
    for name in range(1000):
        open(f"{root}/tree/{n}/x/y/{name}", "w").close()
    os.symlink(target, f"{root}/tree/{n}/link")
print("ready", flush=True)
while os.path.isdir(f"{root}/tree"):
    for n in range(3):
        old, new = (f"{root}/tree/{n}/{name}".encode() for name in ("x", "link"))
        libc.syscall(316, -100, old, -100, new, exchange)
"""
"""Puts links to the target in the place of directories, as fast as it can (renameat2(2))."""


@contextmanager
def swapping(directory: Path, target: Path) -> Iterator[None]:
    attacker = subprocess.Popen(
        [PYTHON, "-c", SWAP, str(directory), str(target)],
        user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], stdout=subprocess.PIPE,
    )  # fmt: skip
    with attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"ready\n"
        time.sleep(0.01)
        try:
            yield
        finally:
            attacker.kill()


@as_root
async def test_root_removes_nothing_elsewhere_whatever_the_owner_of_a_tree_does(
    directory: Path,
) -> None:
    target = plant(directory / "target", names=tuple(f"y/{name}" for name in range(1000)))
    place = directory / "releases"
    place.mkdir()
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    for _ in range(5):
        with swapping(place, target):
            await trees.remove(place / "tree")
        assert len(names_in(target / "y")) == 1000
    assert names_in(place) == []


@as_root
async def test_nothing_is_moved_into_a_directory_that_the_owner_put_in_place_of_roots(
    directory: Path,
) -> None:
    """Where root would have gone on to delete what it took for its own."""
    releases = directory / "releases"
    tree = plant(releases / "tree", owner=NOBODY.pw_uid)
    os.chown(releases, NOBODY.pw_uid, NOBODY.pw_gid)
    replaced: list[str] = []

    def replace(event: str, arguments: tuple[object, ...]) -> None:
        name = str(arguments[0]) if event == "open" else ""
        if name.startswith(trees.LEFTOVER) and (releases / name).is_dir() and not replaced:
            replaced.append(name)
            (releases / name).rename(directory / "away")
            (releases / name).mkdir()
            os.chown(releases / name, NOBODY.pw_uid, NOBODY.pw_gid)

    sys.addaudithook(replace)  # Just before it is opened. It stays, and does nothing any more.
    with pytest.raises(trees.TreeError, match="replaced root's own"):
        await trees.remove(tree)
    assert replaced
    assert names_in(tree) == ["a", "b"]
    await trees.remove(tree)
    assert names_in(releases) == []


# --- given away -----------------------------------------------------------------------------


@as_root
async def test_a_tree_is_given_away_with_everything_in_it(directory: Path) -> None:
    tree = plant(directory / "tree")
    (tree / "b" / "link").symlink_to(directory / "elsewhere")
    (directory / "elsewhere").write_text("")
    os.mkfifo(tree / "fifo")
    await tree_ownership.give(tree, 0, NOBODY.pw_uid, NOBODY.pw_gid)
    places = [tree, *tree.rglob("*")]
    assert {(place.lstat().st_uid, place.lstat().st_gid) for place in places} == {
        (NOBODY.pw_uid, NOBODY.pw_gid)
    }
    assert (directory / "elsewhere").stat().st_uid == 0


@as_root
async def test_a_hard_linked_file_is_not_given_away(directory: Path) -> None:
    tree = plant(directory / "tree", owner=OTHER_USER)
    secret = directory / "secret"
    secret.write_text("root's")
    os.link(secret, tree / "b" / "planted")
    with pytest.raises(trees.TreeError, match="planted: it belongs to user 0, not to"):
        await tree_ownership.give(tree, OTHER_USER, NOBODY.pw_uid, NOBODY.pw_gid)
    assert secret.stat().st_uid == 0
    os.chown(secret, OTHER_USER, OTHER_USER)
    other = plant(directory / "other", owner=OTHER_USER)
    os.link(secret, other / "planted")
    with pytest.raises(trees.TreeError, match=r"it has another hard link"):
        await tree_ownership.give(other, OTHER_USER, NOBODY.pw_uid, NOBODY.pw_gid)


@as_root
async def test_a_tree_that_is_a_link_is_not_given_away(directory: Path) -> None:
    kept = plant(directory / "kept")
    (directory / "tree").symlink_to(kept)
    with pytest.raises(trees.TreeError):
        await tree_ownership.give(directory / "tree", 0, NOBODY.pw_uid, NOBODY.pw_gid)
    assert {place.stat().st_uid for place in (kept, *kept.rglob("*"))} == {0}


@as_root
async def test_a_partly_given_away_tree_can_be_removed(directory: Path) -> None:
    os.chown(directory, OTHER_USER, OTHER_USER)
    tree = plant(directory / "tree", owner=OTHER_USER)
    os.link(tree / "a", tree / "b" / "d" / "planted")
    with pytest.raises(trees.TreeError):
        await tree_ownership.give(tree, OTHER_USER, NOBODY.pw_uid, NOBODY.pw_gid)
    await trees.remove(tree)
    assert names_in(directory) == []
