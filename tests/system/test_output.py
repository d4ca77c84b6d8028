"""The last lines of output: bounded, and no reader affects another."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from blue_green.control import server
from blue_green.control.client import ask
from blue_green.control.messages import decode, encode
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.system import output
from blue_green.system.output import Output
from tests.support.repository import Repository, git_of
from tests.waiting import PATIENCE, until

REVISION = "1a2b3c4" * 5 + "abcde"
OTHER = "5" * 40


@pytest.fixture
def ring() -> Output:
    return Output()


def write(ring: Output, *lines: str, source: str = "blue", revision: str = REVISION) -> None:
    ring.take(source, revision, lines, is_error=False)


def everything(source: str, revision: str) -> bool:
    return True


def texts(ring: Output, start: int = 0) -> list[str]:
    """All that can be read from this number on."""
    found: list[str] = []
    while start < ring.end:
        piece = ring.read(start, everything)
        found += [line.text for line in piece.lines]
        start = piece.next_line
    return found


# --- the ring -------------------------------------------------------------------------------


def test_a_line_records_its_time_and_its_writer(ring: Output) -> None:
    before = datetime.now(UTC)
    ring.take("build", REVISION, ["oh no"], is_error=True)
    (line,) = ring.read(0, everything).lines
    told = line.as_dict()
    assert abs((datetime.fromisoformat(told.pop("at")) - before).total_seconds()) < 5
    assert told == {"source": "build", "revision": REVISION, "is_error": True, "text": "oh no"}


def test_the_number_of_kept_lines_is_bounded(ring: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MAX_LINES", 3)
    for number in range(10):
        write(ring, f"{number}a", f"{number}b")
    assert texts(ring) == ["8b", "9a", "9b"]


def test_the_size_of_kept_text_is_bounded(ring: Output) -> None:
    random = Random(1)
    written = ["ü" * random.choice([0, 0, 1, 50, 3000, 8000]) + str(n) for n in range(3000)]
    for number, text in enumerate(written, start=1):
        write(ring, text)
        if number % 50 == 0:
            kept = texts(ring)
            assert kept == written[number - len(kept) : number]
            room = sum(len(text.encode()) + 1 for text in kept)
            assert len(kept) == number or output.ROOM - 40_000 < room <= output.ROOM


def test_one_piece_is_small_enough_to_be_written_out_at_once(ring: Output) -> None:
    write(ring, *["x" * 16_000] * 100, *["short"] * 1000)
    start = 0
    while start < ring.end:
        piece = ring.read(start, everything)
        assert len(piece.lines) <= output.BATCH_LINES
        assert len(encode({"lines": [line.as_dict() for line in piece.lines]})) < 120_000
        assert piece.next_line > start
        start = piece.next_line


@pytest.mark.parametrize(
    ("count", "shown"), [(0, []), (1, ["d"]), (2, ["b", "d"]), (9, ["b", "d"])]
)
def test_the_last_lines_that_match_are_returned(ring: Output, count: int, shown: list[str]) -> None:
    for source, text in zip(["green", "blue", "green", "blue"], "abcd", strict=True):
        write(ring, text, source=source)

    def is_blue(source: str, revision: str) -> bool:
        return source == "blue"

    start = ring.start_of_last(count, is_blue)
    assert [line.text for line in ring.read(start, is_blue).lines] == shown


def test_a_late_reader_learns_how_many_lines_were_dropped(
    ring: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MAX_LINES", 2)
    write(ring, "a")
    start = ring.read(0, everything).next_line
    write(ring, "b", "c", "d", "e")
    piece = ring.read(start, everything)
    assert (piece.lost, [line.text for line in piece.lines]) == (2, ["d", "e"])
    assert ring.read(piece.next_line, everything).lost == 0


# --- over the control socket ----------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "checkout")


@pytest.fixture
async def path(
    tmp_path: Path, ring: Output, repository: Repository, nursery: trio.Nursery
) -> AsyncIterator[Path]:
    """Where somebody can ask for this output."""
    logs = Logs(ring, git_of(repository.path))
    with server.listening(tmp_path / "s") as sock:
        commands = {"logs": server.Operation(LogsArguments, logs.run)}
        nursery.start_soon(server.serve, sock, commands)
        yield tmp_path / "s"
        nursery.cancel_scope.cancel()


async def answers(path: Path, **request: Any) -> list[dict[str, Any]]:
    with trio.fail_after(PATIENCE):
        asked = {"command": "logs", **request}
        return await trio.to_thread.run_sync(lambda: list(ask(path, asked)), abandon_on_cancel=True)


async def lines_of(path: Path, **request: Any) -> list[str]:
    *pieces, result = await answers(path, **request)
    assert result == {"event": "result"}
    assert all(piece["lost"] == 0 for piece in pieces)
    return [line["text"] for piece in pieces for line in piece["lines"]]


async def test_output_is_filtered_by_slot_or_revision(
    path: Path, ring: Output, repository: Repository
) -> None:
    write(ring, "compiled", source="build", revision=repository.first)
    write(ring, "ready", source="green", revision=repository.first)
    write(ring, "old", source="blue", revision=OTHER)
    assert await lines_of(path) == ["compiled", "ready", "old"]
    assert await lines_of(path, count=2) == ["ready", "old"]
    assert await lines_of(path, which="green") == ["ready"]
    assert await lines_of(path, which="build") == ["compiled"]
    assert await lines_of(path, which=OTHER[:7]) == ["old"]
    assert await lines_of(path, which="main") == ["compiled", "ready"]


@pytest.mark.parametrize(
    "wrong",
    [{"which": "nobody"}, {"which": "--all"}, {"count": -1}, {"count": True}, {"count": 1.0}],
)
async def test_an_unknown_filter_is_wrong_usage(path: Path, wrong: dict[str, Any]) -> None:
    (answer,) = await answers(path, **wrong)
    assert (answer["event"], answer["usage"]) == ("error", True)


async def test_a_follower_gets_lines_as_they_arrive(path: Path, ring: Output) -> None:
    write(ring, "before")
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        for text in ("before", "one", "two"):
            with trio.fail_after(PATIENCE):
                (line,) = decode(await stream.receive_some())["lines"]
            assert line["text"] == text
            write(ring, {"before": "one", "one": "two"}.get(text, "end"))


async def test_a_follower_that_does_not_read_delays_no_one_and_learns_what_was_lost(
    path: Path, ring: Output
) -> None:
    write(ring, "first")
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        await until("it follows", lambda: ring.waiting_readers)
        for _ in range(300):
            write(ring, *["x" * 1000] * 100)
            await trio.lowlevel.checkpoint()
        write(ring, "last")
        pieces: list[dict[str, Any]] = []
        buffer = b""
        with trio.fail_after(PATIENCE):
            while not pieces or pieces[-1]["lines"][-1]["text"] != "last":
                *lines, buffer = (buffer + await stream.receive_some()).split(b"\n")
                pieces += map(decode, lines)
    read = sum(len(piece["lines"]) for piece in pieces)
    lost = sum(piece["lost"] for piece in pieces)
    assert lost > 10_000
    assert read + lost == 1 + 300 * 100 + 1


async def test_a_follower_that_disconnects_is_forgotten(
    path: Path, ring: Output, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.supervisor.logs.KEEP_ALIVE", 0.05)

    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        await until("it follows", lambda: ring.waiting_readers)
    await until("nobody follows", lambda: not ring.waiting_readers)
