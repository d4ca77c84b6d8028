"""The upgrade in place, and the stop, with HTTP/2 under load: no request is lost."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from h2.errors import ErrorCodes

from tests.support.http2_frames import ACK, FrameType
from tests.support.http2_load import Http2Load
from tests.support.http2_threads import connected, text_of
from tests.support.http2_user_agent import http2_client
from tests.support.http2_wire import request_fields
from tests.support.site import RealSite
from tests.support.tls_site import with_tls
from tests.support.upgrade import upgraded
from tests.waiting import until

STREAMING_APP = (Path(__file__).parents[1] / "apps" / "streaming.py").read_text()

CLOSE = b"\x88\x02" + (1012).to_bytes(2)
"""A WebSocket's close frame, for a service that restarts."""
MASKED_CLOSE = b"\x88\x82" + bytes(4) + (1012).to_bytes(2)
"""The same from a client."""

MakeSite = Callable[..., RealSite]


@pytest.mark.long
async def test_upgrades_under_load_lose_no_stream(
    make_site: MakeSite, capsys: pytest.CaptureFixture[str]
) -> None:
    """Busy clients connect once for each upgrade, or twice if they were idle in a bad moment."""
    site = with_tls(make_site())
    site.commit("one")
    async with (
        site.running(),
        http2_client(site.port) as client,
        http2_client(site.port) as other,
        Http2Load(client, streams=40).going_on() as busy,
        Http2Load(other, streams=4, pause=1.5).going_on() as calm,
    ):
        for _ in range(2):
            await upgraded(site)
            await busy.more()
            await calm.more()
        with capsys.disabled():
            print(f"\nthe longest wait in two upgrades: {busy.longest:.3f}, {calm.longest:.3f} s")
        assert client.connections <= 5
        assert other.connections <= 5


@pytest.mark.long
async def test_streams_that_last_end_properly_at_an_upgrade(make_site: MakeSite) -> None:
    site = with_tls(make_site(app={"command": [sys.executable, "streaming.py", "{port}"]}))
    (site.checkout / "streaming.py").write_text(STREAMING_APP)
    site.commit("one")
    async with site.running():
        with connected(site.port) as client:
            client.frames.send_request(1, "/events")
            await client.expect(FrameType.DATA, 1)
            websocket = [(":protocol", "websocket"), *request_fields("/ws", "CONNECT")]
            client.frames.send_headers(3, websocket, flags=0)
            assert (await client.expect(FrameType.DATA, 3)).payload == b"\x81\x03one"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(upgraded, site)
                assert (await client.expect(FrameType.DATA, 3)).payload == CLOSE
                client.frames.send_data(3, MASKED_CLOSE)
                assert await client.data_until_end(3) == b""
                assert (await client.data_until_end(1)).endswith(b"data: one\n\n")
            await client.until_closed()
        with connected(site.port) as again:
            assert await again.text(1) == "one"


@pytest.mark.long
async def test_a_stop_serves_what_is_sent_until_the_client_has_read_that_it_ends(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site())
    site.commit("one")
    async with site.running():
        with connected(site.port) as client:
            client.frames.send_request(1, "/slow=1.5")
            await until("it is in flight", lambda: site.journal("request"))
            assert site.process is not None
            site.process.send_signal(signal.SIGTERM)
            await site.until_logged("finishing in-flight requests first")
            assert await client.text(3) == "one"
            assert text_of(await client.response(1)) == "one"
            goaway = await client.expect(FrameType.GOAWAY, 0)
            assert goaway.last_stream_id == 2**31 - 1
            ping = await client.expect(FrameType.PING, 0)
            client.frames.send_request(5)  # It was on its way.
            client.frames.ping(ping.payload, ACK)
            assert text_of(await client.response(5)) == "one"
            goaway = await client.expect(FrameType.GOAWAY, 0)
            assert (goaway.last_stream_id, goaway.error) == (5, ErrorCodes.NO_ERROR)
            await client.until_closed()


@pytest.mark.long
async def test_a_reload_disturbs_no_stream(make_site: MakeSite) -> None:
    site = with_tls(make_site())
    site.commit("one")
    async with (
        site.running(),
        http2_client(site.port) as client,
        Http2Load(client, streams=20).going_on() as load,
    ):
        for most in (50, 10, 100):
            site.configure(proxy={"http2": {"max_streams": most}})
            assert (await site.cli("reload")).code == 0
            await load.more()
        assert (client.connections, client.repeated) == (1, 0)
