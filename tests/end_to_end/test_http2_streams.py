"""The streams of one HTTP/2 connection to a real site: each lives and ends as if it were alone."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.raw.tls_client import write_pair
from tests.support.access_lines import understood
from tests.support.http2_frames import FrameType
from tests.support.http2_threads import connected, text_of
from tests.support.http2_user_agent import http2_client
from tests.support.http2_wire import request_fields
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.support.static_site import StaticSite, script_of
from tests.support.tls_site import with_tls
from tests.waiting import until

STREAMING_APP = (Path(__file__).parents[1] / "apps" / "streaming.py").read_text()
SERVICE_RESTART = 1012

MakeSite = Callable[..., RealSite]


def access_lines(site: RealSite | SeveralSites) -> list[dict[str, Any]]:
    lines = site.log_file.read_text().splitlines()
    return [understood(line) for line in lines if " request " in line]


async def test_streams_are_held_cancelled_retried_and_taken_back_each_for_itself(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site(proxy={"access_log": True}))
    site.commit("one")
    async with site.running():
        await site.until_live(site.commit("two"))
        with connected(site.port) as client:
            await site.ask("pause", seconds=60)
            for stream_id, path in (1, "/first"), (3, "/cancelled"), (5, "/last"):
                client.frames.send_request(stream_id, path)
            await until("they are held", lambda: holds(site, 3))
            client.frames.reset(3)
            await until("one is forgotten", lambda: holds(site, 2))
            await site.ask("resume")
            assert [text_of(await client.response(number)) for number in (1, 5)] == ["two", "two"]

            client.frames.send_request(7, "/slow=0.5")
            await until("it is at the backend", lambda: "/slow=0.5" in paths(site))
            client.frames.send_request(9, "/die", "POST")
            assert (await client.response(9)).status == 502
            assert text_of(await client.response(7)) == "two"

            assert (await site.cli("rollback")).code == 0
            assert await client.text(11) == "one"
            lines = {line["path"]: line for line in access_lines(site)}
    assert "/cancelled" not in paths(site)
    assert float(lines["/first"]["held"]) > 0
    assert (lines["/cancelled"]["status"], lines["/die"]["status"]) == (499, 502)
    assert lines["/slow=0.5"]["status"] == 200
    assert len({line["id"] for line in lines.values()}) == len(lines)


async def holds(site: RealSite, count: int) -> bool:
    return bool((await site.status())["held"] == count)


def paths(site: RealSite) -> list[str]:
    return [asked["path"] for asked in site.journal() if asked["kind"] == "request"]


async def test_streams_that_last_outlive_a_swap_and_end_properly_on_a_connection_that_goes_on(
    make_site: MakeSite,
) -> None:
    """A download does, too, at its client's pace."""
    command = [sys.executable, "streaming.py", "{port}"]
    site = with_tls(make_site(app={"command": command, "stop_timeout": "10s"}))
    site.configure(
        swap={"stream_timeout": "1s", "drain_timeout": "10m"}, proxy={"access_log": True}
    )
    (site.checkout / "streaming.py").write_text(STREAMING_APP)
    site.commit("one")
    async with site.running():
        with connected(site.port) as client:
            client.frames.open_window(0, 1_000_000)
            client.frames.send_request(1, "/events")
            first = await client.expect(FrameType.DATA, 1)
            assert first.payload == b"data: one\n\n"
            client.frames.send_headers(
                3, [(":protocol", "websocket"), *request_fields("/ws", "CONNECT")], flags=0
            )
            assert (await client.expect(FrameType.DATA, 3)).payload == b"\x81\x03one"
            client.frames.send_request(5, "/big?300000")  # More than its window.
            await client.expect(FrameType.DATA, 5)

            await site.until_live(site.commit("two"))
            assert await client.text(7) == "two"
            assert (await client.data_until_end(1)).endswith(b"data: one\n\n")
            closed = await client.data_until_end(3)
            assert closed == b"\x88\x02" + SERVICE_RESTART.to_bytes(2)
            client.frames.open_window(5, 1_000_000)
            await client.data_until_end(5)
            assert await client.text(9) == "two"
        await until("all are logged", lambda: len(access_lines(site)) == 5)
    lines = {line["path"]: line for line in access_lines(site)}
    assert {line["status"] for line in lines.values()} == {200}
    assert lines["/big?300000"]["bytes"] == 300_000
    assert not any("why" in line for line in lines.values())


@pytest.mark.long
async def test_sites_on_one_connection_are_independent(tmp_path: Path) -> None:
    """As browsers do where the certificate is for several hosts (RFC 9113 section 9.1.1)."""
    sites = SeveralSites(tmp_path, "blog", "shop")
    pair = write_pair(tmp_path, "localhost", "*.example.com")
    tls = {"certificate": str(pair.certificate), "key": str(pair.key)}
    sites.configure(proxy={"tls": tls, "access_log": True})
    async with sites.running(), http2_client(sites.port) as client:

        async def text(name: str) -> str:
            answer = await client.get("/", Host=f"{name}.example.com")
            assert answer.status == 200, answer
            return str(answer.json()["text"])

        assert [await text("blog"), await text("shop")] == ["blog one", "shop one"]
        await sites.ask("pause", seconds=60, site="blog")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(text, "blog")
            await sites.until_live("shop", sites["shop"].commit("two"))
            assert await text("shop") == "shop two"
            await sites.ask("resume", site="blog")
        assert (await client.get("/", Host="unknown.example.com")).status == 404
        assert client.connections == 1
    lines = access_lines(sites)
    assert sorted(line.get("site", "") for line in lines) == ["", "blog", "blog", "shop", "shop"]
    [unknown] = [line for line in lines if "site" not in line]
    assert "the host is unknown.example.com" in unknown["why"]


@pytest.mark.long
async def test_a_page_that_was_loaded_before_a_swap_finds_its_files_after_it(
    tmp_path: Path,
) -> None:
    static = StaticSite(tmp_path)
    site = with_tls(static.real)
    static.publish("one", large="x" * 300_000)
    async with site.running(), http2_client(site.port) as client:
        assert b"<title>one" in (await client.get("/")).body
        await site.until_live(static.publish("two"))
        assert b"<title>two" in (await client.get("/")).body
        assert (await client.get(script_of("one"))).body == b'document.title = "one runs"'
        assert (await client.get("/large.html")).status == 404
        assert client.connections == 1
