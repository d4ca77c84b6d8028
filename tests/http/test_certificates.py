"""Certificates and keys: which are refused, and how new files are loaded."""

import logging
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization

from blue_green.config.process_settings import TlsSettings
from blue_green.http import certificates
from blue_green.http.certificates import BadCertificate, Certificate, load
from tests.raw.checks import check_good_request_follows
from tests.raw.messages import GET
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import TlsStream, write_pair
from tests.waiting import until


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    return write_pair(tmp_path)


def encrypted(key: Path, form: str) -> bytes:
    """The same key with a passphrase."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    kind = getattr(serialization.PrivateFormat, form)
    return loaded.private_bytes(serialization.Encoding.PEM, kind, lock)


def test_a_good_certificate_is_logged_with_its_names_and_expiry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    load(write_pair(tmp_path, "a.example", "b.example", not_after=datetime(2099, 1, 2, tzinfo=UTC)))
    assert "the certificate is for a.example, b.example until 2099-01-02" in caplog.text


def test_a_certificate_that_clients_will_refuse_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A site with an expired certificate is better than none."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tls = write_pair(tmp_path, not_before=yesterday - timedelta(days=9), not_after=yesterday)
    load(tls)
    assert f"clients will refuse {tls.certificate}: certificate has expired" in caplog.text


def test_certificate_and_key_may_be_one_file(tls: TlsSettings) -> None:
    both = tls.certificate.with_name("both.pem")
    both.write_bytes(tls.key.read_bytes() + tls.certificate.read_bytes())
    load(TlsSettings(both, both))


BROKEN = {
    "no certificate": ("certificate", None, "No such file or directory"),
    "an empty certificate": ("certificate", b"", "has no certificate in PEM"),
    "half a certificate": ("certificate", 0.5, "cannot be used"),
    "a key in its place": ("certificate", "key", "has no certificate in PEM"),
    "no key": ("key", None, "No such file or directory"),
    "half a key": ("key", 0.5, "cannot be used"),
    "a certificate in its place": ("key", "certificate", "has no private key in PEM"),
    "a binary file": ("key", b"\xff\x00" * 1000, "has no private key in PEM"),
    "an enormous file": ("key", b"x" * 2_000_000, "is not a file with a key"),
    "letters that are no Base64": (
        "certificate",
        b"-----BEGIN CERTIFICATE-----\n\xff?\n-----END CERTIFICATE-----\n",
        "cannot be used",
    ),
}


@pytest.mark.parametrize(("name", "content", "why"), BROKEN.values(), ids=BROKEN)
def test_each_problem_is_reported_with_its_file(
    tls: TlsSettings, name: str, content: bytes | str | float | None, why: str
) -> None:
    path: Path = getattr(tls, name)
    if content is None:
        path.unlink()
    elif isinstance(content, float):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * content)])
    elif isinstance(content, str):
        path.write_bytes(getattr(tls, content).read_bytes())
    else:
        path.write_bytes(content)
    with pytest.raises(BadCertificate, match=why) as caught:
        load(tls)
    assert str(path) in str(caught.value)


def test_a_directory_and_a_pipe_are_refused_without_waiting(tls: TlsSettings) -> None:
    tls.key.unlink()
    os.mkfifo(tls.key)
    for key in (tls.key, tls.key.parent):
        with pytest.raises(BadCertificate, match="is not a file"):
            load(TlsSettings(tls.certificate, key))


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_with_a_passphrase_is_refused_without_a_prompt(tls: TlsSettings, form: str) -> None:
    tls.key.write_bytes(encrypted(tls.key, form))
    with pytest.raises(BadCertificate, match="has a passphrase, and nobody can type it at start"):
        load(tls)


def test_the_key_of_another_certificate_is_refused(tls: TlsSettings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_pair(tmp_path / "other")
    with pytest.raises(BadCertificate, match=r"key\.pem is not the key of .*certificate\.pem"):
        load(TlsSettings(tls.certificate, other.key))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose app runs as somebody else")
def test_root_is_warned_about_a_world_readable_key(
    tls: TlsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    load(tls)
    assert "everybody" not in caplog.text
    tls.key.chmod(0o644)
    load(tls)
    assert f"all users can read the private key: chmod o-r {tls.key}" in caplog.text


# --- new files ------------------------------------------------------------------------------


@asynccontextmanager
async def watched(
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RunningProxy, Peer]]:
    """A proxy that looks often, and a client that was there before anything changed."""
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.02)
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
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch
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
    tls = TlsSettings(live / "certificate.pem", live / "key.pem")

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
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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


async def test_a_certificate_that_is_still_being_written_is_not_loaded(
    tls: TlsSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    (tmp_path / "new").mkdir()
    new = write_pair(tmp_path / "new")
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.1)
    pair = Certificate(tls)
    before = pair.context
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.keep_fresh)
        with tls.certificate.open("wb", buffering=0) as file:
            for piece in new.certificate.read_bytes().splitlines(keepends=True):
                file.write(piece)
                await trio.sleep(0.02)
        shutil.copy(new.key, tls.key)
        await until("the new pair", lambda: pair.context is not before)
        nursery.cancel_scope.cancel()
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []
