"""The state file is replaced as a whole, and a bad one never keeps a site from starting."""

import copy
import json
import logging
import shutil
import tempfile
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli_w
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from blue_green.proxy.maintenance import Maintenance
from blue_green.routing.results import ResultSummary
from blue_green.site import state_file as state_module
from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.receipt import Receipt
from blue_green.site.scheduled_run import ScheduledRun
from blue_green.site.state import (
    HISTORY,
    Live,
    RecordedBackend,
    RecordedTrial,
    SleepRecord,
    State,
)
from blue_green.site.state_file import MAX_SIZE, StateFile
from tests.waiting import until

REVISION = "0123456789" * 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.toml"


def full_state() -> State:
    failed = Receipt(
        "failed",
        REVISION,
        subject="Add it",
        reason='no "answer"\x1b[0m\n',
        output=("a", "", "ü\x00"),
    )
    promoted = Receipt(
        "promoted",
        REVISION,
        asked_by="swap",
        at="2026-11-27T13:00:00+00:00",
        seconds={"build": 1.5, "bring back": 2},
        held=3,
        results=ResultSummary(0, 0),
        previous_results=ResultSummary(100, 1, 0.02, 0.4),
    )
    return State(
        live=Live("green", REVISION),
        previous="f" * 40,
        head=REVISION,
        paused_until=1234567890.25,
        boot="a boot",
        backends=[RecordedBackend(12, 345)],
        quarantine={"e" * 40: "exit status 3\nand more"},
        history=[failed, promoted],
        ports={"blue": [20000]},
        sleep=SleepRecord(since=1790000000.0, wakes=3, wake_seconds=1.5, last_wake_seconds=0.5),
        trial=RecordedTrial(REVISION, "canary", "swap", is_head=True, is_by_settings=False),
        maintenance=MaintenanceRecord(
            1790000000.0, "Back soon", 1790003600.0, ["10.0.0.1"], "t" * 43
        ),
        served={"a" * 40: "a" * 40},
        migrated=[REVISION],
        schedules={"job": ScheduledRun("* * * * *", 1790000000.0, 1790000000.0, 2.5, "ok")},
    )


def as_compared(state: State) -> tuple[object, ...]:
    receipts = [receipt.as_dict() for receipt in state.history]
    return (state.live, state.previous, state.head, state.paused_until, state.boot,
            state.backends, state.quarantine, receipts)  # fmt: skip


async def test_everything_is_restored_as_it_was(path: Path) -> None:
    await StateFile(path).write(full_state())
    assert as_compared(StateFile(path).load()) == as_compared(full_state())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_history_without_subjects_is_restored(path: Path) -> None:
    await StateFile(path).write(State(history=[Receipt("promoted", REVISION, subject="new")]))
    path.write_text(path.read_text().replace('subject = "new"\n', ""))
    assert StateFile(path).load().history == [Receipt("promoted", REVISION)]


async def test_an_empty_state_is_restored(path: Path) -> None:
    await StateFile(path).write(State())
    assert StateFile(path).load() == State()


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_text_is_restored(reason: str, line: str) -> None:
    receipt = Receipt("failed", REVISION, reason=reason, output=(line,))
    state = State(quarantine={REVISION: reason}, history=[receipt])

    async def there_and_back() -> State:
        directory = Path(await trio.to_thread.run_sync(tempfile.mkdtemp))
        try:
            await StateFile(directory / "state.toml").write(state)
            return StateFile(directory / "state.toml").load()
        finally:
            shutil.rmtree(directory)

    assert as_compared(trio.run(there_and_back)) == as_compared(state)


def test_without_a_file_nothing_is_remembered(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert StateFile(path).load() == State()
    assert caplog.messages == []


async def test_a_write_that_was_interrupted_leaves_the_old_state(path: Path) -> None:
    file = StateFile(path)
    await file.write(full_state())
    beside = path.with_name("state.toml.new")
    beside.write_bytes(b"version = 1\nlive = {slot = \x00")
    assert as_compared(file.load()) == as_compared(full_state())

    await file.write(State(previous="d" * 40))
    assert file.load().previous == "d" * 40
    assert not beside.exists()


async def test_a_reader_never_sees_half_a_state(path: Path) -> None:
    file = StateFile(path)
    await file.write(full_state())
    with path.open("rb") as before:
        await file.write(State())
        assert b"a boot" in before.read(), "the old file was written into"


WRONG: dict[str, bytes] = {
    "empty": b"",
    "garbage": b"\x00\x01garbage",
    "not UTF-8": b"version = 1\nboot = '\xff'",
    "deeply nested": b"version = 1\nx = " + b"[" * 5000,
    "an enormous number": b"version = 1\nx = " + b"9" * 5000,
    "newer": b"version = 2\n",
    "no version": b"boot = 'x'\n",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_no_state_at_all_is_put_aside_with_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path.write_bytes(content)
    assert StateFile(path).load() == State()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text
    assert not path.exists()
    assert path.with_name("state.toml.bad").read_bytes() == content


PARTS: dict[str, tuple[str, object, object]] = {
    "an unknown key": ("mood", "good", None),
    "a number for text": ("head", 5, None),
    "text for a moment": ("paused_until", "12.5", None),
    "a moment far away": ("paused_until", 1e12, None),
    "a moment that is none": ("paused_until", float("nan"), None),
    "text for a number": ("backends", [{"pid": "1", "began": 2}], []),
    "a pid that means all processes": ("backends", [{"pid": -1, "began": 2}], []),
    "a number for a list": ("backends", 3, []),
    "a list for a table": ("quarantine", ["x"], {}),
    "a slot that is none": ("live", {"slot": "red", "revision": REVISION}, None),
    "a revision that is none": ("live", {"slot": "blue", "revision": ".."}, None),
    "half of live": ("live", {"slot": "blue"}, None),
    "a port that is none": ("ports", {"blue": [0]}, None),
    "ports of no slot": ("ports", {"red": [20000]}, None),
    "an unknown outcome": ("history", [{"outcome": "great", "revision": "x"}], []),
    "a time of a swap": ("history", [{"outcome": "failed", "revision": "x", "at": "3"}],
                         [Receipt("failed", "x")]),
    "a sleep for ever": ("sleep", {"since": float("inf"), "wakes": 3}, SleepRecord(wakes=3)),
    "wakes without end": ("sleep", {"wakes": 10**400, "since": 5.0}, SleepRecord(since=5.0)),
    "a schedule": ("schedules", {"job": {"schedule": "* * * * *", "passed": -1.0}}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), PARTS.values(), ids=PARTS.keys())
def test_damage_in_a_part_costs_only_that_part(
    path: Path, caplog: pytest.LogCaptureFixture, name: str, value: object, expected: object
) -> None:
    others = {"previous": "f" * 40, "quarantine": {"e" * 40: "why"}, "boot": "a boot"}
    data = tomli_w.dumps({"version": 1, **others, name: value}).encode()
    path.write_bytes(data)
    state = StateFile(path).load()
    assert getattr(state, name, None) == expected
    kept = {other: getattr(state, other) for other in others if other != name}
    assert kept == {other: others[other] for other in kept}
    [warning] = caplog.messages
    assert f"{path} is damaged, and read without these parts: {name}" in warning
    assert path.with_name("state.toml.bad").read_bytes() == data


def test_an_entry_that_is_damaged_does_not_cost_the_others(path: Path) -> None:
    good = {"outcome": "failed", "revision": "a"}
    history = [good, {**good, "held": "x"}, {"outcome": "x", "revision": "b"}, 7, good]
    path.write_text(tomli_w.dumps({"version": 1, "history": history}))
    assert StateFile(path).load().history == [Receipt("failed", "a")] * 3


junk = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.sampled_from([-1, 0, 10**400, 2**63]),
        st.floats(),
        st.sampled_from([1e12, 1e300, float("inf"), float("nan"), -0.5]),
        st.text(st.characters(codec="utf-8"), max_size=20),
        st.datetimes(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["since", "blue", "slot", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Where in a document something can be damaged."""
    inner: list[tuple[object, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    below = [place for key, each in inner for place in places(each, (*path, key))]
    return [path, *below] if path else below


WHOLE = tomllib.loads(state_module.as_toml(full_state()).decode())


@given(st.data())
def test_no_damage_keeps_the_state_from_being_read_or_used(data: st.DataObject) -> None:
    document = copy.deepcopy(WHOLE)
    del document["version"]  # Another one is another format.
    place = data.draw(st.sampled_from(places(document)))
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = data.draw(junk)
    state = state_module.of_document(document)
    assert state_module.as_toml(state)
    use(state)
    whole = full_state()
    assert state.maintenance is not None
    others = [field.name for field in attrs.fields(State) if field.name != place[0]]
    assert all(getattr(state, name) == getattr(whole, name) for name in others)


def use(state: State) -> None:
    """Do with it what would fail with values that are out of range."""
    texts: list[object] = [receipt.as_dict() for receipt in state.history]
    texts += [str(receipt) for receipt in state.history]
    texts += [datetime.fromisoformat(receipt.at) for receipt in state.history if receipt.at]
    texts += [run.as_dict() for run in state.schedules.values()]
    moments = [state.paused_until, state.sleep.since if state.sleep else None]
    moments += [run.passed for run in state.schedules.values()]
    if (record := state.maintenance) is not None:
        Maintenance(record.message, record.until, [], record.token)
        moments += [record.since, record.until]
        texts.append(record.message)
    texts += [datetime.fromtimestamp(moment, UTC) for moment in moments if moment is not None]
    json.dumps(texts, allow_nan=False, default=str)
    assert all(running.pid > 1 for running in state.backends)


async def test_a_truncated_state_keeps_what_can_be_read_wherever_it_was_cut(path: Path) -> None:
    await StateFile(path).write(full_state())
    whole, state = path.read_bytes(), full_state()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        loaded = StateFile(path).load()
        assert loaded.live in (None, state.live)
        assert loaded.quarantine in ({}, state.quarantine)
        assert (loaded.maintenance is not None) == (b"\n[maintenance]" in whole[:end])


def test_a_directory_in_place_of_the_file_is_put_aside(path: Path) -> None:
    path.mkdir()
    assert StateFile(path).load() == State()
    assert path.with_name("state.toml.bad").is_dir()


async def test_a_missing_directory_is_logged_once_and_raises_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = StateFile(path.parent / "sub" / path.name)
    for _ in range(3):
        await file.write(full_state())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "No such file" in caplog.text

    (path.parent / "sub").mkdir()
    await file.write(full_state())
    assert as_compared(file.load()) == as_compared(full_state())
    shutil.rmtree(path.parent / "sub")
    await file.write(full_state())
    assert len(caplog.records) == 2, "trouble that has come back is told again"


async def test_a_parent_that_is_a_file_is_logged_and_raises_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("a file")
    await StateFile(path / "state.toml").write(State())
    assert "Not a directory" in caplog.text


async def test_a_state_that_cannot_be_encoded_raises_nothing(path: Path) -> None:
    """A file name that is not UTF-8 is a text that has no bytes in UTF-8 (PEP 383)."""
    await StateFile(path).write(State(quarantine={REVISION: "no such file: \udcff"}))


async def test_changes_are_written_as_they_happen(path: Path, nursery: trio.Nursery) -> None:
    file, state = StateFile(path), State()

    def is_written() -> bool:
        return path.exists() and f'head = "{state.head}"' in path.read_text()

    nursery.start_soon(file.write_changes, lambda: state)
    for revision in ("a" * 40, "b" * 40):
        state.head = revision
        file.change()
        await until("it is written", is_written)
    nursery.cancel_scope.cancel()


async def test_a_failed_write_is_repeated_as_soon_as_possible(
    path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else has to change: until then, what is remembered is not what is so."""
    monkeypatch.setattr(state_module, "RETRY_INTERVAL", 0.01)
    file = StateFile(path)
    nursery.start_soon(file.write_changes, full_state)
    in_the_way = path.with_name("state.toml.new")
    in_the_way.mkdir()
    await file.write(full_state())
    assert not path.exists()
    in_the_way.rmdir()
    await until("it is written", path.exists)
    assert as_compared(file.load()) == as_compared(full_state())
    nursery.cancel_scope.cancel()


async def test_the_largest_possible_state_is_read_whole(path: Path) -> None:
    """Whatever candidates write: it is kept in bytes, and not only in lines."""
    state = State(live=Live("blue", REVISION), quarantine={})
    for number in range(2 * HISTORY):
        revision = f"{number:040x}"
        state.put_in_quarantine(revision, "\\" * 10**6)
        output = ["\\" * 10**5] * 100 + ["\U0001f600" * 10**5] * 2
        worst = Receipt("failed", revision, "\\" * 10**5, reason="\t" * 10**6, output=output)
        state.remember(worst)
    await StateFile(path).write(state)
    assert path.stat().st_size < MAX_SIZE
    loaded = StateFile(path).load()
    assert as_compared(loaded) == as_compared(state)
    assert len(loaded.quarantine) == len(loaded.history) == HISTORY


async def test_a_write_contains_the_state_as_it_was_when_requested(path: Path) -> None:
    """The file is made in a thread, while the site goes on."""
    state = full_state()
    before = as_compared(full_state())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(StateFile(path).write, state)
        await trio.testing.wait_all_tasks_blocked()
        state.live = None
        state.put_in_quarantine("d" * 40, "later")
        state.remember(Receipt("promoted", "d" * 40))
    assert as_compared(StateFile(path).load()) == before


def test_a_huge_file_of_an_older_version_still_yields_the_essentials(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Older versions kept 50 lines of up to 16 KiB for each failed swap, and reasons as long."""
    line = '    "' + r"\\x01" * 16_000 + '",\n'
    failed = f'\n[[history]]\noutcome = "failed"\nrevision = "{REVISION}"\noutput = [\n'
    failed += line * 50 + "]\n"
    document = {
        "version": 1,
        "previous": "f" * 40,
        "head": REVISION,
        "boot": "a boot",
        "backends": [{"pid": pid, "began": 345} for pid in range(2, 12)],
        "live": {"slot": "green", "revision": REVISION},
        "quarantine": {"e" * 40: "\\x01" * 100_000},
    }
    path.write_text(tomli_w.dumps(document) + failed * 12)
    size = path.stat().st_size
    assert size > 40_000_000
    began = time.monotonic()
    state = StateFile(path).load()
    assert time.monotonic() - began < 2.0
    assert state.live == Live("green", REVISION)
    assert (state.previous, state.head) == ("f" * 40, REVISION)
    assert len(state.backends) == 10
    assert (state.history, state.quarantine) == ([], {})
    assert f"moving {path} aside to state.toml.bad: it is larger than" in caplog.text
    assert path.with_name("state.toml.bad").stat().st_size == size


def test_the_written_file_is_readable_toml(path: Path) -> None:
    path.write_text(tomli_w.dumps({"version": 1, "live": {"slot": "blue", "revision": REVISION}}))
    assert StateFile(path).load().live == Live("blue", REVISION)
