"""A queue of bytes, in memory and then in a file, whatever fails."""

import errno
import itertools
import os
import random
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.config.kinds import Count, Size
from blue_green.config.process_settings import ProxySettings
from blue_green.proxy import buffer_space
from blue_green.proxy.buffer import IN_MEMORY, Buffer
from blue_green.proxy.buffer_file import BufferFile
from blue_green.proxy.buffer_space import BufferSpace, BufferUse
from tests.waiting import until

MB = 1024 * 1024
PIECE = 100_000


@asynccontextmanager
async def space_in(directory: Path, **settings: Any) -> AsyncIterator[BufferSpace]:
    """A space whose files are closed meanwhile."""
    space = BufferSpace(ProxySettings(**settings), directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(space.run)
        yield space
        nursery.cancel_scope.cancel()


async def drain(buffer: Buffer) -> bytes:
    data = bytearray()
    while piece := await buffer.get():
        data += piece
        buffer.release(0)
    return bytes(data)


@pytest.mark.parametrize("size", [1, IN_MEMORY, IN_MEMORY + 1, 3 * MB])
async def test_what_was_put_comes_out_in_its_order(tmp_path: Path, size: int) -> None:
    data, use = random.randbytes(size), BufferUse()
    async with space_in(tmp_path) as space:
        with Buffer(space, use, 10 * MB) as buffer:
            for start in range(0, size, PIECE):
                assert await buffer.put(data[start : start + PIECE])
            buffer.end()
            assert buffer.is_in_memory == (size <= IN_MEMORY)
            assert use.memory <= IN_MEMORY
            assert await drain(buffer) == data
        await until("all is given back", lambda: (use.memory, use.disk) == (0, 0))


async def test_its_files_have_no_names_and_belong_to_us_alone(tmp_path: Path) -> None:
    async with space_in(tmp_path) as space:
        with Buffer(space, BufferUse(), 10 * MB) as buffer:
            assert await buffer.put(bytes(MB))
            assert list(tmp_path.iterdir()) == []


async def test_a_file_system_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers, opened = threading.Event(), []

    def hang(directory: Path, kept_free: int) -> BufferFile:
        answers.wait()
        file = BufferFile(directory, kept_free)
        opened.append(weakref.ref(file))
        return file

    monkeypatch.setattr(buffer_space, "BufferFile", hang)
    monkeypatch.setattr(buffer_space, "PATIENCE", 0.1)
    use = BufferUse()
    async with space_in(tmp_path) as space:
        for _ in range(3):
            with Buffer(space, use, 10 * MB) as buffer, trio.fail_after(5):
                assert not await buffer.put(bytes(MB))
        assert (use.memory, use.disk) == (0, 0)
        assert "the file system does not respond" in caplog.text
        answers.set()
        await until("the file that came too late is closed", lambda: opened and not opened[0]())
    assert len(opened) == 1, "the second and the third buffer did not try"


async def test_writes_that_hang_do_not_keep_the_room_of_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, hanging = threading.Event(), BufferUse()
    monkeypatch.setattr(buffer_space, "PATIENCE", 0.1)
    async with space_in(tmp_path) as space:

        async def write_in_vain() -> None:
            with Buffer(space, hanging, 10 * MB) as buffer:
                assert not await buffer.put(bytes(MB))

        def hang(descriptor: int, data: bytes, offset: int) -> int:
            answers.wait()
            return len(data)

        others = [Buffer(space, BufferUse(), 10 * MB) for _ in range(50)]
        for buffer in others:
            assert await buffer.put(bytes(MB))
        monkeypatch.setattr(os, "pwrite", hang)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(buffer_space.MOST_THREADS):
                    nursery.start_soon(write_in_vain)
            taken = hanging.disk
            assert taken >= buffer_space.MOST_THREADS * MB
            for buffer in others:
                buffer.close()
            await until("the others are closed", lambda: space.disk == taken)
        finally:
            answers.set()
        await until("all are closed", lambda: space.disk == 0)


async def test_there_are_at_most_as_many_files_as_the_open_file_limit_has_room_for(
    tmp_path: Path,
) -> None:
    limit = Count(2 * buffer_space.CONNECTIONS_PER_FILE)
    async with space_in(tmp_path, max_connections=limit) as space:
        buffers = [Buffer(space, BufferUse(), 10 * MB) for _ in range(3)]
        assert [await buffer.put(bytes(MB)) for buffer in buffers] == [True, True, False]
        for buffer in buffers:
            buffer.close()
        await until("all are closed", lambda: space.files == 0)


async def test_files_that_wait_for_a_thread_count_as_open(tmp_path: Path) -> None:
    files = 2 * buffer_space.MOST_THREADS
    limit = Count(files * buffer_space.CONNECTIONS_PER_FILE)
    stored: list[bool] = []
    async with space_in(tmp_path, max_connections=limit) as space:

        async def put(buffer: Buffer) -> None:
            stored.append(await buffer.put(bytes(MB)))

        buffers = [Buffer(space, BufferUse(), 10 * MB) for _ in range(2 * files)]
        async with trio.open_nursery() as nursery:
            for buffer in buffers:
                nursery.start_soon(put, buffer)
        assert sorted(stored) == [False] * files + [True] * files
        assert space.files == files
        for buffer in buffers:
            buffer.close()
        await until("all are closed", lambda: space.files == 0)


async def test_many_files_are_closed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_close = threading.Barrier(buffer_space.CLOSERS)
    close = BufferFile.close

    def close_with_others(file: BufferFile) -> None:
        all_close.wait(10)
        close(file)

    use = BufferUse()
    monkeypatch.setattr(BufferFile, "close", close_with_others)
    async with space_in(tmp_path) as space:
        for _ in range(2 * buffer_space.CLOSERS):
            with Buffer(space, use, 10 * MB) as buffer:
                assert await buffer.put(bytes(IN_MEMORY + 1))
        await until("all are closed", lambda: use.disk == 0)


async def test_a_file_that_fails_to_close_is_logged_and_gives_back_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close = os.close

    def fail(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    use = BufferUse()
    async with space_in(tmp_path) as space:
        for _ in range(2):
            with Buffer(space, use, 10 * MB) as buffer:
                assert await buffer.put(bytes(MB))
                monkeypatch.setattr(os, "close", fail)
            await until("its room is given back", lambda: use.disk == 0)
            monkeypatch.setattr(os, "close", close)
    assert "Input/output error" in caplog.text


@pytest.mark.parametrize("seed", range(10))
async def test_one_task_may_put_while_another_gets(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    data, use = chance.randbytes(2 * MB), BufferUse()
    limits = {"buffer_memory": chance.choice([0, PIECE, MB]), "buffer_disk": chance.choice([0, MB])}
    got = bytearray()

    async def put(buffer: Buffer) -> None:
        at = 0
        while at < len(data):
            piece = data[at : at + chance.randrange(1, PIECE)]
            while not await buffer.put(piece):
                if not buffer.is_awaited:
                    await buffer.changed()
            at += len(piece)
            if chance.random() < 0.3:
                await trio.lowlevel.checkpoint()
        buffer.end()

    async with space_in(tmp_path, **limits) as space:
        with Buffer(space, use, MB // 2) as buffer, trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put, buffer)
                while piece := await buffer.get():
                    got += piece
                    buffer.release(0)
                    if chance.random() < 0.3:
                        await trio.lowlevel.checkpoint()
        assert bytes(got) == data
        await until("all is given back", lambda: (use.memory, use.disk) == (0, 0))


async def test_a_full_disk_is_logged_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(buffer_space, "KEPT_FREE", 2**62)
    async with space_in(tmp_path) as space:
        for _ in range(2):
            with Buffer(space, BufferUse(), 10 * MB) as buffer:
                data = random.randbytes(IN_MEMORY)
                assert await buffer.put(data)
                assert not await buffer.put(b"more")
                buffer.end()
                assert await drain(buffer) == data
    [record] = caplog.records
    assert "No space left on device" in record.getMessage()


async def test_a_body_gets_at_most_a_quarter_of_the_disk_space_that_is_free(
    tmp_path: Path,
) -> None:
    async with space_in(tmp_path, buffer_disk=8 * MB, buffer_memory=0) as space:
        with Buffer(space, BufferUse(), 10 * MB) as buffer:
            taken = 0
            while await buffer.put(bytes(PIECE)):
                taken += PIECE
            assert MB < taken <= 2 * MB


async def test_one_of_several_sites_gets_at_most_half(tmp_path: Path) -> None:
    async with space_in(tmp_path, buffer_memory=MB) as space:
        settings = ProxySettings(buffer_memory=Size(MB))
        one, other = BufferUse(), BufferUse()
        space.use(settings, [one, other])
        assert space.take_memory(one, MB // 2)
        assert not space.take_memory(one, 1)
        assert space.take_memory(other, MB // 4)
        space.use(settings, [one])
        assert space.take_memory(one, MB // 4)
        assert not space.take_memory(one, 1)


async def test_a_cancelled_write_never_reaches_another_file(tmp_path: Path) -> None:
    """The descriptor of a file is closed only when the thread that writes to it has ended."""
    async with space_in(tmp_path) as space:
        use = BufferUse()
        for _ in range(30):
            with trio.move_on_after(0.001), Buffer(space, use, 64 * MB) as buffer:
                for _ in itertools.count():
                    if not await buffer.put(bytes(MB)):
                        break
        await until("all is given back", lambda: (use.memory, use.disk) == (0, 0))
