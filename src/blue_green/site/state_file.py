"""The file of a site's state, `state.toml`: replaced as a whole, or not at all.

A new file is written, synced, and renamed over the old one (rename(2) is atomic). Damage in an
existing one never keeps the site from starting: most of the content can be rebuilt. But a site that
was in maintenance stays so, since it must not open to the public by mistake.
"""

import logging
import re
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import tomli_w
import trio

from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.state import VERSION, State
from blue_green.system import files, threads
from blue_green.system.lenient import LenientReader

logger = logging.getLogger(__name__)

STATE_FILE = "state.toml"
"""In the state directory of a site."""
MAX_SIZE = 2 * 1024 * 1024
"""Bytes of a file that is parsed whole, which takes half a second. Ours are less than half that."""
NONESSENTIAL = re.compile(rb"^(?:\[quarantine|\[\[history|history =)", re.M)
"""Where the part of the file begins that a site can do without."""
IN_MAINTENANCE = re.compile(rb"^[ \t]*(?:\[ *maintenance *\]|maintenance *[.=])", re.M)
"""In a file that is no TOML. No text of others can look so: ours are on the line of their key."""
MOST_SHOWN = 5
"""Damaged parts that a warning names."""
RETRY_INTERVAL = 1.0
"""Seconds until the next attempt after the file could not be written."""


class StateFile:
    """The file, and a task that writes it when something has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = trio.Event()
        self._lock = trio.Lock()
        self.problem = ""
        """Why the last write failed; empty if it did not."""

    def load(self) -> State:
        """Read the state; a new one if there is no file, or one that is damaged as a whole."""
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
        except (ValueError, RecursionError) as error:
            is_in_maintenance = IN_MAINTENANCE.search(data) is not None
            return self._move_aside(f"it is damaged: {error}", is_in_maintenance)
        is_in_maintenance = "maintenance" in document
        if (version := document.get("version")) != VERSION:
            return self._move_aside(
                f"it has version {str(version)[:20]}, and {VERSION} is supported", is_in_maintenance
            )
        damage: list[str] = []
        state = of_document(document, damage)
        if damage:
            self._report_damage(damage, data)
        return state

    def _report_damage(self, damage: Sequence[str], data: bytes) -> None:
        """Report what could not be read, and keep a copy: the next write leaves it out."""
        shown = "; ".join(damage[:MOST_SHOWN])
        if (more := len(damage) - MOST_SHOWN) > 0:
            shown += f"; and {more} more"
        aside = self._aside
        logger.warning(
            "%s is damaged, and read without these parts: %s. A copy is in %s",
            self._path, shown, aside.name,
        )  # fmt: skip
        try:
            files.replace(aside, data)
        except OSError as error:
            logger.error("cannot write %s: %s", aside, error.strerror)

    def change(self) -> None:
        """Note that the state has changed, so that it is written soon."""
        self._changed.set()

    async def write_changes(self, current: Callable[[], State]) -> None:
        """Write the state whenever it has changed, and retry failed writes, until cancelled."""
        while True:
            await self._changed.wait()
            if self.problem:
                await trio.sleep(RETRY_INTERVAL)
            self._changed = trio.Event()
            await self.write(current())

    async def write(self, state: State) -> None:
        """Write the state now. The first failure is logged; `write_changes` retries.

        A site whose disk is full goes on: it remembers less for that time, and `problem` says so.
        """
        snapshot = state.snapshot()
        async with self._lock:
            try:
                await threads.run(self._replace, snapshot)
            except OSError as error:
                problem = f"cannot write {self._path}: {error.strerror}"
                if not self.problem:
                    logger.error("%s", problem)
                self.problem = problem
                self.change()
            else:
                if self.problem:
                    logger.info("can write %s again", self._path)
                self.problem = ""

    def _replace(self, state: State) -> None:
        # The output of candidates in it may be confidential: only we may read it.
        files.replace(self._path, as_toml(state))

    def _move_aside(self, reason: str, is_in_maintenance: bool = False) -> State:
        logger.warning("moving %s aside to %s: %s", self._path, self._aside.name, reason)
        try:
            self._path.replace(self._aside)
        except OSError as error:
            logger.error("cannot move %s aside: %s", self._path, error.strerror)
        return State(maintenance=_without_details() if is_in_maintenance else None)

    @property
    def _aside(self) -> Path:
        return self._path.with_name(self._path.name + ".bad")


def _without_details() -> MaintenanceRecord:
    """A maintenance of which nothing more is known: it admits nobody, until somebody ends it."""
    logger.warning("it stays in maintenance, without a secret link: see `blue-green maintenance`")
    return MaintenanceRecord(time.time())


def of_document(document: dict[str, Any], damage: list[str] | None = None) -> State:
    """The state in a document, without its damaged parts, which are added to `damage` in words."""
    is_in_maintenance = "maintenance" in document
    reader = LenientReader([] if damage is None else damage)
    state: State = reader.record(State, document)
    if is_in_maintenance and state.maintenance is None:
        state.maintenance = _without_details()
    return state


def as_toml(state: State) -> bytes:
    """The content of the file."""
    return tomli_w.dumps(_without_none(attrs.asdict(state))).encode(errors="backslashreplace")


def _without_none(value: Any) -> Any:
    """Leave out None values: TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_without_none(entry) for entry in value]
    return value
