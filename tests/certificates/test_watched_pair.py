"""Certificates in files: reported, and loaded again when they change."""

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from blue_green.certificates import watched_pair
from blue_green.certificates.pem import Loaded
from blue_green.certificates.watched_pair import WatchedPair
from tests.raw.checks import check_good_request_follows
from tests.raw.messages import GET
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair, TlsStream, write_pair
from tests.waiting import until


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


def test_a_good_certificate_is_logged_with_its_names_and_expiry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tls = write_pair(tmp_path, "a.example", "b.example", not_after=datetime(2099, 1, 2, tzinfo=UTC))
    WatchedPair(tls.certificate, tls.key, "[proxy.tls]")
    assert "the certificate is for a.example, b.example until 2099-01-02" in caplog.text


@asynccontextmanager
async def watched(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RunningProxy, Peer]]:
    """A proxy that looks often, and a client that was there before anything changed."""
    monkeypatch.setattr(watched_pair, "LOOK_EVERY", 0.02)
    async with running(tls=tls) as proxy:
        early = await proxy.ask(GET)
        await early.answer()
        yield proxy, early
        await early.send(GET)
        assert (await early.answer()).body == b"ok"
        await check_good_request_follows(proxy)


async def served(proxy: RunningProxy) -> bytes | None:
    """The certificate that new clients see."""
    client = await proxy.connect()
    assert isinstance(client.stream, TlsStream)
    seen = client.stream.tls.getpeercert(binary_form=True)
    await client.close()
    return seen


async def until_another_than(proxy: RunningProxy, before: bytes | None) -> None:
    async def changed() -> bool:
        return await served(proxy) != before

    await until("another certificate", changed)


async def test_a_new_certificate_serves_new_connections_and_old_ones_go_on(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tls, monkeypatch) as (proxy, _):
        before = await served(proxy)
        write_pair(tls.key.parent)
        await until_another_than(proxy, before)


async def test_retargeted_symbolic_links_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As certbot has it: `live/` holds links into `archive/`, which turn one after the other."""
    live = tmp_path / "live"
    live.mkdir()
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        write_pair(tmp_path / number)
    tls = PemPair(live / "certificate.pem", live / "key.pem")

    def turn(path: Path, number: str) -> None:
        (live / "new").symlink_to(tmp_path / number / path.name)
        (live / "new").rename(path)

    for path in (tls.certificate, tls.key):
        turn(path, "1")
    async with watched(tls, monkeypatch) as (proxy, _):
        before = await served(proxy)
        turn(tls.certificate, "2")
        turn(tls.key, "2")
        await until_another_than(proxy, before)
        second = await served(proxy)
        write_pair(tmp_path / "2")  # What the links lead to is written anew, and they stay.
        await until_another_than(proxy, second)
        assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_broken_certificate_is_logged_once_and_changes_nothing_until_it_is_fixed(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tls, monkeypatch) as (proxy, _):
        before = await served(proxy)
        tls.key.unlink()
        await until("an error", lambda: "No such file" in caplog.text)
        tls.key.write_text("nonsense")
        await until("another error", lambda: "has no private key" in caplog.text)
        await trio.sleep(0.2)  # Ten looks.
        errors = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
        assert len(errors) == 2, errors
        assert errors[0].startswith("the current certificate stays in use: [proxy.tls] key: ")
        assert await served(proxy) == before
        write_pair(tls.key.parent)
        await until_another_than(proxy, before)


async def test_an_expired_certificate_does_not_replace_a_valid_one(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tls, monkeypatch) as (proxy, _):
        before = await served(proxy)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        write_pair(tls.key.parent, not_before=yesterday - timedelta(days=9), not_after=yesterday)
        await until("an error", lambda: f"{tls.certificate} has expired" in caplog.text)
        assert await served(proxy) == before
        write_pair(tls.key.parent)
        await until_another_than(proxy, before)


async def test_a_certificate_that_is_still_being_written_is_not_loaded(
    tls: PemPair,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    (tmp_path / "new").mkdir()
    new = write_pair(tmp_path / "new")
    monkeypatch.setattr(watched_pair, "LOOK_EVERY", 0.1)
    pair = WatchedPair(tls.certificate, tls.key, "[proxy.tls]")
    before = pair.loaded
    used: list[Loaded] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.keep_fresh, used.append)
        with tls.certificate.open("wb", buffering=0) as file:
            for piece in new.certificate.read_bytes().splitlines(keepends=True):
                file.write(piece)
                await trio.sleep(0.02)
        shutil.copy(new.key, tls.key)
        await until("the new pair", lambda: pair.loaded is not before)
        assert used == [pair.loaded]
        nursery.cancel_scope.cancel()
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []
