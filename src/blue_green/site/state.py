"""What survives a restart, in `state.toml`: replaced as a whole, or not at all.

Written beside itself, synced, and renamed (rename(2) replaces atomically). A file that cannot be
understood is put aside with a warning: what is in it can be had again, a site that does not
start cannot.
"""

import logging
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import tomli_w
import trio
from attrs import define, field, validators
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from blue_green.site.receipt import Receipt, short_reason
from blue_green.system import files

logger = logging.getLogger(__name__)

VERSION = 1
HISTORY = 50
MIGRATED = 50
"""Revisions to remember; git tells of those that are ancestors of one of them."""
LARGEST = 2 * 1024 * 1024
"""Bytes of a file that is read as a whole, which takes half a second. Ours have less than half."""
LESS_IMPORTANT = re.compile(rb"^(?:\[quarantine|\[\[history|history =)", re.M)
"""Where that begins in the file which a site can do without."""
TRY_AGAIN = 1.0
"""Seconds until the next attempt after the file could not be written."""
REVISION = validators.matches_re("[0-9a-f]{40}|[0-9a-f]{64}")


@define
class Live:
    """The last release that was found good, and where it ran."""

    slot: Literal["blue", "green"]
    revision: str = field(validator=REVISION)


@define
class RecordedBackend:
    """A backend that ran when the file was written: its pid, and when it began (proc(5))."""

    pid: int
    began: int


def _bounded(quarantine: Mapping[str, str]) -> dict[str, str]:
    newest = list(quarantine.items())[-HISTORY:]
    return {revision: short_reason(why) for revision, why in newest}


@define
class State:
    """All that is remembered, and first what a site cannot do without."""

    version: int = VERSION
    live: Live | None = None
    previous: str | None = field(default=None, validator=validators.optional(REVISION))
    """The revision that was live before: where `rollback` goes."""
    head: str | None = field(default=None, validator=validators.optional(REVISION))
    """The last HEAD that was dealt with, whatever came of it."""
    paused_until: float | None = None
    """When a pause ends, in seconds since the epoch."""
    boot: str = ""
    """The boot of the machine that the backends' times belong to."""
    backends: list[RecordedBackend] = field(factory=list)
    migrated: list[str] = field(factory=list)
    """The last revisions whose `migrate` has succeeded here, the newest at the end."""
    quarantine: dict[str, str] = field(factory=dict, converter=_bounded)
    """Revision -> why it failed; the newest at the end."""
    history: list[Receipt] = field(factory=list)
    """The last swaps, the newest at the end."""

    def last_output(self, revision: str) -> Sequence[str]:
        """The last lines of output of the newest swap to it that failed, as far as remembered."""
        swaps = (swap for swap in reversed(self.history) if swap.revision == revision)
        return next((swap.output for swap in swaps if swap.output), ())

    def remember(self, receipt: Receipt) -> None:
        """Note it; one that only repeats the failure before it takes that one's place.

        What is no longer in the history is not in quarantine, either.
        """
        before = self.history[:-1] if self.is_repeated(receipt) else self.history
        self.history = [*before, receipt][-HISTORY:]
        known = {receipt.revision for receipt in self.history}
        self.quarantine = {
            revision: why for revision, why in self.quarantine.items() if revision in known
        }

    def is_repeated(self, receipt: Receipt) -> bool:
        """Whether it was tried again by itself, and has failed in the same way."""
        last = self.history[-1] if self.history else None
        if last is None or not (last.retry_in and receipt.retry_in):
            return False
        return (last.revision, last.reason) == (receipt.revision, receipt.reason)

    def put_in_quarantine(self, revision: str, why: str) -> None:
        """Do not try this revision again until somebody asks for it."""
        others = {other: text for other, text in self.quarantine.items() if other != revision}
        self.quarantine = {**others, revision: why}

    def snapshot(self) -> "State":
        """The same as it is now, whatever is remembered later."""
        return attrs.evolve(self)

    def note_migrated(self, revision: str) -> None:
        self.migrated = [*self.migrated, revision][-MIGRATED:]


def quarantined(why: str) -> str:
    """Why a revision is not deployed, for people."""
    return f"it is in quarantine (swap --retry tries it again): {why}"


class StateFile:
    """The file, and a task that writes it when something has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = trio.Event()
        self._lock = trio.Lock()
        self._failing = False

    def load(self) -> State:
        """What was remembered; nothing if there is no file, or one that we do not understand."""
        try:
            data = files.read_start(self._path, LARGEST + 1)
        except FileNotFoundError:
            return State()
        except OSError as error:
            return self._put_aside(f"it cannot be read: {error}")
        if len(data) <= LARGEST:
            return self._understood(data)
        rest = LESS_IMPORTANT.search(data)
        state = self._understood(data[: rest.start()] if rest else data)
        if self._path.exists():
            self._put_aside(
                f"it has more than {LARGEST} bytes, as those of older versions could: "
                "the history and the quarantine in it are forgotten"
            )
        return state

    def _understood(self, data: bytes) -> State:
        try:
            document = tomllib.loads(data.decode())
            version = document.get("version")
            if version != VERSION:
                return self._put_aside(f"it is of version {version}, and we know {VERSION}")
            state: State = _converter().structure(document, State)
        except (ValueError, RecursionError, BaseValidationError, ForbiddenExtraKeysError) as error:
            return self._put_aside(f"it is damaged: {error}")
        return state

    def change(self) -> None:
        """Something is different: write it soon."""
        self._changed.set()

    async def write_changes(self, current: Callable[[], State]) -> None:
        """Write whenever something has changed, and again what failed, until cancelled."""
        while True:
            await self._changed.wait()
            if self._failing:
                await trio.sleep(TRY_AGAIN)
            self._changed = trio.Event()
            await self.write(current())

    async def write(self, state: State) -> None:
        """Write now. That it fails is logged, once; `write_changes` tries again.

        A site whose disk is full goes on; it only remembers less, as long as that lasts.
        """
        snapshot = state.snapshot()
        async with self._lock:
            try:
                await trio.to_thread.run_sync(self._replace, snapshot)
            except OSError as error:
                if not self._failing:
                    logger.error("cannot write %s: %s", self._path, error.strerror)
                self._failing = True
                self.change()
            else:
                if self._failing:
                    logger.info("can write %s again", self._path)
                self._failing = False

    def _replace(self, state: State) -> None:
        document = tomli_w.dumps(_without_none(attrs.asdict(state)))
        # Candidates' output is in it, which is not everybody's business: only we may read it.
        files.replace(self._path, document.encode(errors="backslashreplace"))

    def _put_aside(self, why: str) -> State:
        aside = self._path.with_name(self._path.name + ".bad")
        logger.warning("%s is put aside as %s: %s", self._path, aside.name, why)
        try:
            self._path.replace(aside)
        except OSError as error:
            logger.error("cannot put %s aside: %s", self._path, error.strerror)
        return State()


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind in (str, int, float):
        converter.register_structure_hook(kind, _exactly)
    return converter


def _exactly(value: Any, kind: type[Any]) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _without_none(value: Any) -> Any:
    """TOML has no null: what is not there is left out."""
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_without_none(entry) for entry in value]
    return value
