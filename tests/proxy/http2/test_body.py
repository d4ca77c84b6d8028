"""The body of a request, as its frames bring it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from blue_green.http.transport import BLOCK
from blue_green.proxy.http2.body import StreamBody
from blue_green.proxy.relay import BadBody, BodyTooLarge


def body(*pieces: bytes, used: list[int] | None = None, ends: bool = False) -> StreamBody:
    """A body of which these pieces have arrived."""
    made = StreamBody((used if used is not None else []).append, has_ended=False)
    for piece in pieces:
        made.put(piece)
    if ends:
        made.end([])
    return made


async def test_a_body_without_frames_is_complete_from_the_beginning() -> None:
    none = StreamBody(lambda count: None, has_ended=True)
    assert none.is_complete
    assert await none.read() == b""


async def test_what_has_arrived_is_read_in_one_piece() -> None:
    two = body(b"ab", b"c")
    assert two.has_arrived
    assert await two.read() == b"abc"
    assert not two.is_complete


async def test_a_piece_is_used_when_the_next_one_is_read() -> None:
    """Meanwhile it takes memory, for instance while the backend does not read."""
    used: list[int] = []
    three = body(b"abc", used=used)
    await three.read()
    three.put(b"de")
    assert used == []
    await three.read()
    assert used == [3]
    three.end([])
    assert await three.read() == b""
    assert used == [3, 2]


async def test_bytes_that_are_forgotten_include_the_piece_that_was_read_last() -> None:
    used: list[int] = []
    broken = body(b"abc", used=used)
    await broken.read()
    broken.put(b"de")
    assert broken.close() == 5
    assert broken.close() == 0
    assert used == []


async def test_no_piece_is_larger_than_a_block() -> None:
    large = body(bytes(BLOCK), b"x", ends=True)
    assert len(await large.read()) == BLOCK
    assert not large.is_complete
    assert await large.read() == b"x"
    assert large.is_complete


async def test_a_reader_waits_for_the_next_frame_and_for_the_end() -> None:
    coming = body()
    read: list[bytes] = []

    async def read_all() -> None:
        while data := await coming.read():
            read.append(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_all)
        await wait_all_tasks_blocked()
        coming.put(b"one")
        await wait_all_tasks_blocked()
        coming.put(b"two")
        await wait_all_tasks_blocked()
        coming.end([(b"a", b"b")])
    assert read == [b"one", b"two"]
    assert coming.trailers == [(b"a", b"b")]


async def test_a_body_that_the_client_breaks_off_is_bad_once_the_rest_was_read() -> None:
    half = body(b"half")
    half.break_off()
    assert await half.read() == b"half"
    with pytest.raises(BadBody):
        await half.read()


async def test_a_client_that_breaks_off_after_the_end_takes_nothing_away() -> None:
    whole = body(b"whole", ends=True)
    whole.break_off()
    assert await whole.read() == b"whole"
    assert await whole.read() == b""


async def test_a_body_over_the_limit_is_too_large_even_in_small_pieces() -> None:
    small = body(b"abc")
    small.limit = 5
    await small.read()
    small.put(b"def")
    with pytest.raises(BodyTooLarge, match="5 bytes"):
        await small.read()


def test_a_body_is_whole_when_all_of_it_has_arrived_and_not_before() -> None:
    assert not body(b"abc").is_whole(3)
    assert body(b"abc", ends=True).is_whole(3)
    assert not body(b"abcd", ends=True).is_whole(3)
    assert body(b"abc", ends=True).take() == b"abc"


async def test_the_last_byte_of_a_body_of_known_length_waits_for_its_end() -> None:
    """More may follow, which would make the request malformed."""
    five = StreamBody(lambda count: None, length=5, has_ended=False)
    five.put(b"hello")
    assert await five.read() == b"hell"
    assert not five.has_arrived
    five.end([])
    assert await five.read() == b"o"
    assert five.is_complete
