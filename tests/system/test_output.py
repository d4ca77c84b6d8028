"""The last lines of output: bounded, and no reader affects another."""

from datetime import UTC, datetime
from random import Random

import pytest

from blue_green.control.messages import encode
from blue_green.system import output
from blue_green.system.output import Output
from tests.support.output import REVISION, write


@pytest.fixture
def ring() -> Output:
    return Output()


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


def test_the_number_of_kept_lines_is_bounded() -> None:
    ring = Output(lines=3)
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


def test_a_late_reader_learns_how_many_lines_were_dropped() -> None:
    ring = Output(lines=2)
    write(ring, "a")
    start = ring.read(0, everything).next_line
    write(ring, "b", "c", "d", "e")
    piece = ring.read(start, everything)
    assert (piece.lost, [line.text for line in piece.lines]) == (2, ["d", "e"])
    assert ring.read(piece.next_line, everything).lost == 0
