"""A connection of HTTP/2 that ends in the same moment as the server."""

from pathlib import Path

import pytest
import trio

from blue_green.proxy.client import Client
from blue_green.proxy.client_table import ClientTable
from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.proxy import running
from tests.raw.tls_client import write_pair
from tests.support.http2_wire import frame_socket

TURNS = 15
"""Iterations of the event loop in which a connection surely ends."""


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """All clients that connect."""
    connected: list[Client] = []
    add = ClientTable.add

    def noted(table: ClientTable, client: Client) -> None:
        connected.append(client)
        add(table, client)

    monkeypatch.setattr(ClientTable, "add", noted)
    return connected


async def test_last_requests_can_be_announced_at_any_moment_of_its_end(
    tmp_path: Path, clients: list[Client]
) -> None:
    def ask_and_leave() -> None:
        with frame_socket(proxy.port) as client:
            client.send_request(1)
            assert client.response(1).status == 200

    async with running(says(OK), tls=write_pair(tmp_path)) as proxy:
        for turns in range(TURNS):
            await trio.to_thread.run_sync(ask_and_leave)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            for client in clients:
                client.announce_last_requests()
