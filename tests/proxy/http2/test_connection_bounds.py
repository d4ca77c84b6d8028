"""What the unread bodies of all connections may take together."""

import threading
from pathlib import Path

import pytest
import trio

from blue_green.config.kinds import Size
from blue_green.proxy import buffer_space
from blue_green.proxy.buffer_file import BufferFile
from blue_green.proxy.http2 import unread
from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.proxy import running
from tests.raw.tls_client import write_pair
from tests.support.http2_frames import END_STREAM, FrameType
from tests.support.http2_wire import FrameSocket, frame_socket

BODY = bytes(15_000)


@pytest.fixture(autouse=True)
def _few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MOST_UNREAD", 4 * len(BODY))


def begin_upload(client: FrameSocket, stream_id: int) -> None:
    client.send_request(stream_id, "/", "POST", flags=0)
    client.send_data(stream_id, BODY)
    client.send_data(stream_id, BODY)


def is_read_from(client: FrameSocket) -> bool:
    client.ping()
    try:
        client.expect(FrameType.PING, timeout=0.3)
    except AssertionError:
        return False
    return True


async def test_only_connections_with_unread_bodies_wait_above_the_bound(tmp_path: Path) -> None:
    def talk() -> None:
        with frame_socket(proxy.port) as hoarder, frame_socket(proxy.port) as other:
            for stream_id in (1, 3, 5):
                begin_upload(hoarder, stream_id)
            assert not is_read_from(hoarder)
            assert is_read_from(other)
            trio.from_thread.run_sync(proxy.gate.resume, "a test")
            for stream_id in (1, 3, 5):
                hoarder.send_data(stream_id, b"", END_STREAM)
                assert hoarder.response(stream_id).status == 200

    async with running(says(OK), tls=write_pair(tmp_path), buffer_requests=0) as proxy:
        proxy.gate.hold("a test")
        await trio.to_thread.run_sync(talk)
        await proxy.until_drained()


async def test_bodies_that_wait_for_a_file_count_as_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_system_goes_on = threading.Event()

    def hang(directory: Path, kept_free: int) -> BufferFile:
        file_system_goes_on.wait()
        return BufferFile(directory, kept_free)

    def talk() -> None:
        try:
            with frame_socket(proxy.port) as client:
                for stream_id in (1, 3, 5):
                    begin_upload(client, stream_id)
                assert not is_read_from(client)
                file_system_goes_on.set()
                for stream_id in (1, 3, 5):
                    client.send_data(stream_id, b"", END_STREAM)
                    assert client.response(stream_id).status == 200
        finally:
            file_system_goes_on.set()

    monkeypatch.setattr(buffer_space, "BufferFile", hang)
    async with running(says(OK), tls=write_pair(tmp_path), buffer_memory=Size(0)) as proxy:
        await trio.to_thread.run_sync(talk)
        await proxy.until_drained()


async def test_bodies_of_streams_that_were_reset_count_no_more(tmp_path: Path) -> None:
    def talk() -> None:
        with frame_socket(proxy.port) as client:
            for stream_id in range(1, 21, 2):
                begin_upload(client, stream_id)
                client.reset(stream_id)
                assert is_read_from(client)

    async with running(says(OK), tls=write_pair(tmp_path), buffer_requests=0) as proxy:
        proxy.gate.hold("a test")
        await trio.to_thread.run_sync(talk)
        proxy.gate.resume("a test")
