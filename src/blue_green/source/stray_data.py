"""What would be left behind in a release, and what to do about it, in words.

Not left behind is what `link` covers by now, if the checkout's own copy is not older: then somebody
has probably copied it there, and it was not written to since. That is not certain, since the next
release may have made a new one there. So before a release is deleted, only a copy counts that is
untouched since: of the same size, and written at the same time, as `cp -a` leaves it.
"""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from blue_green.source import stray_scan
from blue_green.source.build_record import Mark
from blue_green.source.stray_scan import MOST_NAMED, Stamp
from blue_green.system import documents
from blue_green.system.line_reader import text

DOCS = f"{documents.place('swaps.md')} has more, under Data"


@frozen
class StrayData:
    """Names relative to the release."""

    release: Path
    checkout: Path
    links: Sequence[str]
    """What `link` has now."""
    databases: Sequence[str] = ()
    known: frozenset[str] = frozenset()
    """Those databases that git or the build had put there, and that were changed since."""
    files: Sequence[str] = ()
    """There may be as many as an app has uploads: nothing below looks at each of them."""
    tops: Sequence[str] = ()
    """The directories at the top that hold them, and those that are there themselves."""
    is_partial: bool = False
    """There may be more: it could not be looked through to its end."""

    def __bool__(self) -> bool:
        """It is not known to be empty, so it must not be deleted."""
        return bool(self.databases or self.files or self.is_partial)

    @property
    def names(self) -> str:
        """All of them, or the first few."""
        first = [*self.databases[:MOST_NAMED], *self.files[:MOST_NAMED]][:MOST_NAMED]
        more = len(self.databases) + len(self.files) - MOST_NAMED
        return ", ".join(map(shown, first)) + (f" and {more} more" if more > 0 else "")


def look(
    release: Path,
    mark: Mark,
    checkout: Path,
    links: Sequence[str],
    *,
    seconds: float = stray_scan.MOST_SECONDS,
    before_deleting: bool = False,
) -> StrayData:
    """Look through a complete release; takes up to these seconds. To be called in a thread."""
    is_carried = _is_copied if before_deleting else _is_carried
    found = stray_scan.find(release, mark.completed, seconds=seconds)
    databases = [
        name
        for name, stamp in found.databases.items()
        if _is_written(name, stamp, mark) and not is_carried(name, stamp, checkout, links)
    ]
    files = [name for name in found.files if not _is_carried(name, None, checkout, links)]
    known = frozenset(databases) & frozenset(mark.databases)
    is_unknown = mark.completed is None and mark.is_partial
    return StrayData(
        release, checkout, links, databases, known, files, _tops(files),
        is_partial=found.is_partial or is_unknown,
    )  # fmt: skip


def _is_written(name: str, stamp: Stamp, mark: Mark) -> bool:
    """Whether a database came, or was changed, since the release was complete."""
    if mark.completed is None:
        return False  # What it had at first was not noted: that it is there says nothing.
    if mark.is_partial and name not in mark.databases:
        return stamp[0] > mark.completed
    return mark.databases.get(name) != stamp


def _is_carried(name: str, stamp: Stamp | None, checkout: Path, links: Sequence[str]) -> bool:
    if not _is_linked(name, links):
        return False
    if stamp is None:
        return (checkout / name).exists()
    return (copy := _stamp_of(checkout / name)) is not None and copy[0] >= stamp[0]


def _is_linked(name: str, links: Sequence[str]) -> bool:
    stems = [link.rstrip("/") for link in links]
    path = name.rstrip("/")
    return any(path == stem or path.startswith(f"{stem}/") for stem in stems)


def _is_copied(name: str, stamp: Stamp, checkout: Path, links: Sequence[str]) -> bool:
    """Whether there is a copy that nobody has written to."""
    return _is_linked(name, links) and _stamp_of(checkout / name) == stamp


def _stamp_of(database: Path) -> Stamp | None:
    """When it was written last, itself or its log, and its size; None if it is not there."""
    try:
        status = database.stat()
    except OSError:
        return None
    written = status.st_mtime_ns
    with suppress(OSError):
        log = database.with_name(database.name + stray_scan.LOG).stat()
        written = max(written, log.st_mtime_ns if log.st_size else 0)
    return written, status.st_size


# --- in words -------------------------------------------------------------------------------


def what(left: StrayData) -> str:
    """What there is."""
    if left.databases:
        noun = "a database" if len(left.databases) == 1 else "databases"
        others = StrayData(left.release, left.checkout, (), (), frozenset(), left.files)
        besides = f" (and other files: {others.names})" if left.files else ""
        only = StrayData(left.release, left.checkout, (), left.databases)
        return f"{noun} written inside of the release {left.release.name}: {only.names}{besides}"
    noun = "a file" if len(left.files) == 1 else f"{len(left.files)} files"
    return f"{noun} written inside of the release {left.release.name}: {left.names}"


def linking(left: StrayData) -> list[str]:
    """What has to be changed so that each release sees it."""
    todo = []
    if tracked := sorted(left.known)[:MOST_NAMED]:
        listed = " ".join(shlex.quote(shown(name)) for name in tracked)
        todo.append(f"git rm --cached {listed}, if git has it, and a line in .gitignore")
    if not _are_linked(left):
        names = _to_link(left)
        more = f", with {len(names) - MOST_NAMED} more," if len(names) > MOST_NAMED else ""
        listed = _array([*left.links, *names[:MOST_NAMED]])
        todo.append(f"link = {listed}{more} in [release]")
    return todo


def _to_link(left: StrayData) -> Sequence[str]:
    return left.databases or left.tops


def _are_linked(left: StrayData) -> bool:
    return all(_is_linked(name, left.links) for name in _to_link(left))


def steps(left: StrayData) -> str:
    """How to keep it in the checkout, where each release sees it: a line for each step."""
    names = _to_link(left)
    todo = linking(left)
    if not _are_linked(left):
        todo.append("blue-green reload")
    todo += ["blue-green pause --for 5m", *_copies(left, names)]
    todo += ["blue-green swap", "blue-green resume"]
    return "".join(f"\n{number}. {step}" for number, step in enumerate(todo, 1))


def refusal(left: StrayData) -> str:
    """Why a swap goes no further."""
    return (
        f"what the app writes would be out of view with another release: {what(left)}. Nothing has "
        f'changed. Set stray_data = "warn" in [swap] to leave it behind, or keep it in the '
        f"checkout as follows. {DOCS}:{steps(left)}"
    )


def early(left: StrayData) -> str:
    """What `migrate` has written where only its own release sees it."""
    return (
        f"migrate has made {what(left)}. The next swap would leave that behind, and will be "
        f"refused. Link it before there is much in it, as follows. {DOCS}:{steps(left)}"
    )


def warning(left: StrayData) -> str:
    """What is left behind all the same."""
    if not left.names:
        return f"{_unseen(left)}: it is not removed when its time has come. {_BY_HAND}. {DOCS}"
    return (
        f"out of view with this swap: {what(left)}. It stays in {left.release}, which is not "
        f"removed. To have it in each release, do as follows. {DOCS}:{steps(left)}"
    )


def kept(left: StrayData) -> str:
    """Why an old release is not removed."""
    if not left.names:
        return f"{_unseen(left)}: it is kept. {_BY_HAND}"
    return (
        f"{left.release} holds what is nowhere else: {what(left)}. Copy it to where it belongs, if "
        "it matters, and delete it there: then the release is removed"
    )


def _unseen(left: StrayData) -> str:
    return (
        f"{left.release} could not be looked through to its end for what the app has written there "
        "(it is too large or too deep, or a part of it cannot be read)"
    )


_BY_HAND = "Save what matters in it, if anything does, and delete it by hand"


def shown(name: str) -> str:
    """The name as text that can be printed: an app chose it."""
    return text(os.fsencode(name))


def _copies(left: StrayData, names: Sequence[str]) -> Sequence[str]:
    """The commands that copy them, with a database's log."""
    commands = []
    for name in names[:3]:
        source, target = left.release / name.rstrip("/"), (left.checkout / name).parent
        make = f"mkdir -p {shlex.quote(shown(str(target)))} && " if "/" in name.rstrip("/") else ""
        star = "" if name.endswith("/") else "*"
        paths = f"{shlex.quote(shown(str(source)))}{star} {shlex.quote(shown(str(target)))}/"
        commands.append(f"{make}cp -a {paths}")
    return commands + (["the same for the others"] if len(names) > 3 else [])


def _tops(files: Sequence[str]) -> Sequence[str]:
    tops = [f"{name.partition('/')[0]}/" if "/" in name else name for name in files]
    return list(dict.fromkeys(tops))


def _array(names: Sequence[str]) -> str:
    quoted = [f'"{shown(name)}"' for name in dict.fromkeys(names)]
    return f"[{', '.join(quoted)}]"
