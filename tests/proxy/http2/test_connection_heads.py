"""How long a client may take for the heads of its requests."""

import time
from itertools import pairwise
from pathlib import Path

import trio

from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.proxy import SHORT, running
from tests.raw.tls_client import write_pair
from tests.support.http2_wire import frame_socket, request_fields

BEGUN = 11
"""Bytes of a HEADERS frame: its header, and a part of its block."""


async def test_each_head_has_the_whole_time_for_itself(tmp_path: Path) -> None:
    """Also if some of the next one has always arrived with it."""
    ids = range(1, 17, 2)

    def talk() -> None:
        with frame_socket(proxy.port) as client:
            heads = [client.headers(stream_id, request_fields()) for stream_id in ids]
            client.send(heads[0])
            time.sleep(SHORT / 4)
            client.send(heads[1][:BEGUN])
            for head, following in pairwise(heads[1:]):
                time.sleep(SHORT / 4)
                client.send(head[BEGUN:] + following[:BEGUN])
            client.send(heads[-1][BEGUN:])
            trio.from_thread.run_sync(proxy.gate.resume, "a test")
            for stream_id in ids:
                assert client.response(stream_id).status == 200

    async with running(says(OK), tls=write_pair(tmp_path), header_timeout=SHORT) as proxy:
        proxy.gate.hold("a test")
        await trio.to_thread.run_sync(talk)
