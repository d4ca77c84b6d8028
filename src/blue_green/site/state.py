"""The state that survives a restart, in `state.toml`: replaced as a whole, or not at all.

A new file is written, synced, and renamed over the old one (rename(2) is atomic). An invalid file
is moved aside with a warning: its content can be rebuilt, and the site must start.
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
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.receipt import Receipt, short_reason
from blue_green.site.scheduled_run import ScheduledRun
from blue_green.source.revision import REVISION
from blue_green.system import files, threads
from blue_green.system.strict import strict_converter

logger = logging.getLogger(__name__)

VERSION = 1
HISTORY = 50
MIGRATED = 50
"""Revisions to remember; git knows which others are ancestors of one of them."""
STATE_FILE = "state.toml"
"""In the state directory of a site."""
MAX_SIZE = 2 * 1024 * 1024
"""Bytes of a file that is parsed whole, which takes half a second. Ours are less than half that."""
NONESSENTIAL = re.compile(rb"^(?:\[quarantine|\[\[history|history =)", re.M)
"""Where the part of the file begins that a site can do without."""
RETRY_INTERVAL = 1.0
"""Seconds until the next attempt after the file could not be written."""
IS_REVISION = validators.matches_re(REVISION)


@define
class Live:
    """The last release that was promoted, and its slot."""

    slot: Literal["blue", "green"]
    revision: str = field(validator=IS_REVISION)


@define
class RecordedTrial:
    """A canary or preview that ran when the file was written."""

    revision: str = field(validator=IS_REVISION)
    kind: str
    asked_by: str
    """The trigger of its swap."""
    is_head: bool
    """The checkout's HEAD was at this revision."""
    is_by_settings: bool
    """The settings asked for it, and nobody else."""


@define
class RecordedBackend:
    """A backend or process that ran when the file was written: pid and start time (proc(5))."""

    pid: int
    began: int


@define
class SleepRecord:
    """How a site sleeps, and has woken so far."""

    since: float | None = None
    """When it fell asleep, in seconds since the epoch; None if it is awake."""
    wakes: int = 0
    """How often a request has woken it, and it has started."""
    failed_wakes: int = 0
    """How often it has not started."""
    wake_seconds: float = 0.0
    """How long all starts together took that succeeded."""
    last_wake_seconds: float | None = None


def _are_ports(_: object, attribute: object, found: dict[str, list[int]]) -> None:
    if found.keys() - {"blue", "green"}:
        raise ValueError("ports: there are only blue and green")
    for port in (port for ports in found.values() for port in ports):
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")


def _are_releases(_: object, attribute: object, served: dict[str, str]) -> None:
    for name, revision in served.items():
        if not REVISION.fullmatch(revision) or not re.fullmatch(r"[0-9a-f]+(-\d+)?", name):
            raise ValueError(f"{name} is not a release")


def _bounded(quarantine: Mapping[str, str]) -> dict[str, str]:
    newest = list(quarantine.items())[-HISTORY:]
    return {revision: short_reason(why) for revision, why in newest}


@define
class State:
    """The state of a site; the essential part comes first."""

    version: int = VERSION
    live: Live | None = None
    ports: dict[str, list[int]] | None = field(
        default=None, validator=validators.optional(_are_ports)
    )
    """Slot -> the ports that were found for its backends."""
    previous: str | None = field(default=None, validator=validators.optional(IS_REVISION))
    """The revision that was live before, to which `rollback` goes back."""
    head: str | None = field(default=None, validator=validators.optional(IS_REVISION))
    """The last HEAD that was handled, whatever the outcome."""
    paused_until: float | None = None
    """When a pause ends, in seconds since the epoch."""
    sleep: SleepRecord | None = None
    """None if it has never slept."""
    trial: RecordedTrial | None = None
    """The canary or preview that has not ended."""
    maintenance: MaintenanceRecord | None = None
    """The current maintenance, if there is one."""
    boot: str = ""
    """The boot ID that the backends' start times belong to."""
    backends: list[RecordedBackend] = field(factory=list)
    served: dict[str, str] = field(factory=dict, validator=_are_releases)
    """The releases that have been live, the last one first: directory -> revision."""
    migrated: list[str] = field(factory=list)
    """The last revisions whose `migrate` has succeeded here, the newest at the end."""
    schedules: dict[str, ScheduledRun] = field(factory=dict)
    """Name of a process -> its last run; the most recently used ones at the end."""
    quarantine: dict[str, str] = field(factory=dict, converter=_bounded)
    """Revision -> why it failed; the newest at the end."""
    history: list[Receipt] = field(factory=list)
    """The last swaps, the newest at the end."""

    def last_output(self, revision: str) -> Sequence[str]:
        """The last lines of output of its newest failed swap, if there is a receipt of one."""
        swaps = (swap for swap in reversed(self.history) if swap.revision == revision)
        return next((swap.output for swap in swaps if swap.output), ())

    def remember(self, receipt: Receipt) -> None:
        """Add a receipt to the history; a repeated failure replaces the one before.

        A revision that leaves the history also leaves quarantine.
        """
        before = self.history[:-1] if self.is_repeated(receipt) else self.history
        self.history = [*before, receipt][-HISTORY:]
        known = {receipt.revision for receipt in self.history}
        self.quarantine = {
            revision: why for revision, why in self.quarantine.items() if revision in known
        }

    def is_repeated(self, receipt: Receipt) -> bool:
        """Whether this was an automatic retry that failed in the same way."""
        last = self.history[-1] if self.history else None
        if last is None or not (last.retry_in and receipt.retry_in):
            return False
        return (last.revision, last.reason) == (receipt.revision, receipt.reason)

    def put_in_quarantine(self, revision: str, why: str) -> None:
        """Keep this revision from being deployed until somebody requests a retry."""
        others = {other: text for other, text in self.quarantine.items() if other != revision}
        self.quarantine = {**others, revision: why}

    def snapshot(self) -> "State":
        """A copy that later changes do not affect."""
        return attrs.evolve(self)

    def note_migrated(self, revision: str) -> None:
        self.migrated = [*self.migrated, revision][-MIGRATED:]


def quarantined(reason: str, retry: str) -> str:
    """Why a revision is not deployed, for people. `retry` is the command that deploys it."""
    return f"it is in quarantine (to deploy it anyway: {retry}): {reason}"


class StateFile:
    """The file, and a task that writes it when something has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = trio.Event()
        self._lock = trio.Lock()
        self._failing = False

    def load(self) -> State:
        """Read the state; a new one if there is no file, or an invalid one."""
        try:
            data = files.read_start(self._path, MAX_SIZE + 1)
        except FileNotFoundError:
            return State()
        except OSError as error:
            return self._move_aside(f"it cannot be read: {error}")
        if len(data) <= MAX_SIZE:
            return self._parse(data)
        rest = NONESSENTIAL.search(data)
        state = self._parse(data[: rest.start()] if rest else data)
        if self._path.exists():
            self._move_aside(
                f"it is larger than {MAX_SIZE} bytes, as files of older versions could be; "
                "its history and quarantine are lost"
            )
        return state

    def _parse(self, data: bytes) -> State:
        try:
            document = tomllib.loads(data.decode())
            version = document.get("version")
            if version != VERSION:
                return self._move_aside(f"it has version {version}, and {VERSION} is supported")
            state: State = strict_converter().structure(document, State)
        except (ValueError, RecursionError, BaseValidationError, ForbiddenExtraKeysError) as error:
            return self._move_aside(f"it is damaged: {error}")
        return state

    def change(self) -> None:
        """Note that the state has changed, so that it is written soon."""
        self._changed.set()

    async def write_changes(self, current: Callable[[], State]) -> None:
        """Write the state whenever it has changed, and retry failed writes, until cancelled."""
        while True:
            await self._changed.wait()
            if self._failing:
                await trio.sleep(RETRY_INTERVAL)
            self._changed = trio.Event()
            await self.write(current())

    async def write(self, state: State) -> None:
        """Write the state now. The first failure is logged; `write_changes` retries.

        A site whose disk is full goes on: it remembers less for that time.
        """
        snapshot = state.snapshot()
        async with self._lock:
            try:
                await threads.run(self._replace, snapshot)
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
        # The output of candidates in it may be confidential: only we may read it.
        files.replace(self._path, document.encode(errors="backslashreplace"))

    def _move_aside(self, reason: str) -> State:
        aside = self._path.with_name(self._path.name + ".bad")
        logger.warning("moving %s aside to %s: %s", self._path, aside.name, reason)
        try:
            self._path.replace(aside)
        except OSError as error:
            logger.error("cannot move %s aside: %s", self._path, error.strerror)
        return State()


def _without_none(value: Any) -> Any:
    """Leave out None values: TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_without_none(entry) for entry in value]
    return value
