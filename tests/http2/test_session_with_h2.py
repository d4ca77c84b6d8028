"""A session serves h2 as a client: what one side sends, the other one gets."""

import random
from collections import defaultdict

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from blue_green.http2.events import DataArrived, RequestBegun, RequestEnded
from blue_green.http2.session import Session
from tests.support.http2_client import LIMITS, OK, POST


class EchoServer:
    """Sends back each body as soon as the windows allow it."""

    def __init__(self, chance: random.Random) -> None:
        self.session = Session(LIMITS)
        self._chance = chance
        self._bodies: dict[int, bytearray] = {}
        self._ended: set[int] = set()

    def receive(self, data: bytes) -> None:
        session = self.session
        session.receive(data)
        while session.has_frame:
            for event in session.step():
                if isinstance(event, RequestBegun):
                    self._bodies[event.stream_id] = bytearray()
                    session.send_head(event.stream_id, OK, end=False)
                    if self._chance.random() < 0.5:
                        session.widen(event.stream_id)
                elif isinstance(event, DataArrived):
                    self._bodies[event.stream_id] += event.data
                elif isinstance(event, RequestEnded):
                    self._ended.add(event.stream_id)
        for stream_id in list(self._bodies):
            self._echo(stream_id)

    def _echo(self, stream_id: int) -> None:
        body = self._bodies[stream_id]
        count = min(len(body), self.session.room(stream_id))
        is_last = stream_id in self._ended and count == len(body)
        if count or is_last:
            self.session.send_data(stream_id, memoryview(bytes(body[:count])), end=is_last)
            self.session.credit(stream_id, count)
            del body[:count]
        if is_last:
            self.session.finish(stream_id)
            del self._bodies[stream_id]


class UploadingClient:
    """Sends bodies as the windows allow, and collects what comes back."""

    def __init__(self, bodies: dict[int, bytes]) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.received: defaultdict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self._left = bodies.copy()
        for stream_id in bodies:
            self.h2.send_headers(stream_id, POST)

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
            if isinstance(event, h2.events.DataReceived):
                self.received[event.stream_id] += event.data
                size = event.flow_controlled_length
                self.h2.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)

    def send(self, chance: random.Random) -> bytes:
        for stream_id, body in list(self._left.items()):
            window = self.h2.local_flow_control_window(stream_id)
            count = min(len(body), window - 256, 16_000, chance.randrange(1, 20_000))
            if count <= 0 < len(body):
                continue
            padding = chance.choice([None, 0, 200]) if count > 0 else None
            is_last = count == len(body)
            self.h2.send_data(stream_id, body[:count], end_stream=is_last, pad_length=padding)
            self._left[stream_id] = body[count:]
            if is_last:
                del self._left[stream_id]
        return self.h2.data_to_send()


@pytest.mark.parametrize("seed", range(3))
def test_bodies_of_any_size_come_back_whole(seed: int) -> None:
    chance = random.Random(seed)
    bodies = {2 * n + 1: chance.randbytes(chance.choice([0, 1, 70_000, 300_000])) for n in range(8)}
    client, server = UploadingClient(bodies), EchoServer(chance)
    for _ in range(2000):
        wire = client.send(chance)
        cut = chance.randrange(len(wire) + 1)
        server.receive(wire[:cut])
        server.receive(wire[cut:])
        client.receive(server.session.take_output())
        if len(client.ended) == len(bodies):
            break
    assert client.ended == set(bodies)
    assert {stream_id: client.received[stream_id] for stream_id in bodies} == bodies
    assert server.session.open_streams == 0
