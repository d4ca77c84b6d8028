"""Authorities that hang, drip, send without end, redirect, or are not who they should be."""

import json
import logging
import socket
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

import blue_green
from blue_green.certificates import acme_budget
from blue_green.certificates.acme_issuer import AcmeIssuer
from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issuer import IssueFailed
from blue_green.config.kinds import AcmeContact, Url
from blue_green.config.process_settings import TlsSettings
from tests.support.false_authority import Asked, FalseAuthority, FalseReply, false_authority
from tests.support.site import free_ports

REQUEST_TIMEOUT = 1.0
PATIENCE = REQUEST_TIMEOUT * 6
"""Seconds after which a request cannot be called bounded, even on a busy machine."""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[FalseAuthority]:
    with false_authority(tmp_path) as authority:
        yield authority


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme_budget, "REQUEST_TIMEOUT", REQUEST_TIMEOUT)


def failure_with(authority: FalseAuthority, tmp_path: Path, root: Path | None = None) -> str:
    """Why no certificate comes from this authority; within a bounded time."""
    return failure_at(authority.url, tmp_path, root or authority.root)


def failure_at(url: str, tmp_path: Path, root: Path | None) -> str:
    tls = TlsSettings(acme=AcmeContact("you@x.org"), directory=Url(url), directory_root=root)
    issuer = AcmeIssuer(tls, tmp_path / "account", Challenges(), can_http=True)
    began = time.monotonic()
    with pytest.raises(IssueFailed) as failed:
        issuer.issue("blog.example.com", 0)
    assert time.monotonic() - began < PATIENCE
    assert failed.value.retry_after is None
    return str(failed.value)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD + b"X-Long: ", b"a"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"{"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
    ],
    ids=["silent", "hangs in the head", "drips a head", "drips a body", "drips chunks"],
)
def test_an_authority_that_hangs_or_drips_is_left_in_time(
    authority: FalseAuthority, tmp_path: Path, first: bytes, drop: bytes
) -> None:
    def answer(asked: Asked) -> FalseReply | None:
        asked.raw.sendall(first)
        until = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < until:
            asked.raw.sendall(drop)
            time.sleep(0.05)
        return None

    authority.answer = answer
    assert "did not answer within 1 s" in failure_with(authority, tmp_path)


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (HEAD + b"X-Long: ", b"a" * 50_000),
        (HEAD, b"X: " + b"a" * 50_000 + b"\r\n"),
        (HEAD + b"\r\n", b'{"a": "' + b"a" * 50_000),
        (HEAD + b"Content-Length: 100000000000\r\n\r\n", b"[" * 50_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n" * 10_000),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        (b"", b"\x00" * 50_000),
    ],
    ids=["a line", "fields", "a body", "a length", "chunks", "interim responses", "zeros"],
)
def test_an_authority_that_sends_without_end_is_left_after_a_megabyte(
    authority: FalseAuthority, tmp_path: Path, first: bytes, more: bytes
) -> None:
    sent = 0

    def answer(asked: Asked) -> FalseReply | None:
        nonlocal sent
        asked.raw.sendall(first)
        while True:
            asked.raw.sendall(more)
            sent += len(more)

    authority.answer = answer
    assert failure_with(authority, tmp_path)
    assert sent < 10 * acme_budget.LARGEST_RESPONSE  # With what lies in buffers.


@pytest.mark.parametrize(
    "start",
    [b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{", b"garbage\r\n\r\n"],
    ids=["at once", "in the head", "in the body", "after garbage"],
)
def test_an_authority_that_ends_the_connection_is_named(
    authority: FalseAuthority, tmp_path: Path, start: bytes
) -> None:
    def answer(asked: Asked) -> FalseReply | None:
        asked.raw.sendall(start)
        asked.raw.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    authority.answer = answer
    why = failure_with(authority, tmp_path)
    assert why.startswith(f"127.0.0.1:{authority.port} ")
    assert "connection" in why or "JSON" in why


@pytest.mark.parametrize("status", [200, 302, 500])
def test_compressed_responses_are_not_expanded(
    authority: FalseAuthority, tmp_path: Path, status: int
) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packed.compress(b" " * 50_000_000) + packed.flush()
    fields = {"Content-Encoding": "gzip", "Location": authority.url}
    authority.answer = lambda _: FalseReply(bomb, status, fields)
    tracemalloc.start()
    try:
        assert "sent a compressed response" in failure_with(authority, tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000
    assert authority.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(authority: FalseAuthority, tmp_path: Path, status: int) -> None:
    authority.answer = lambda _: FalseReply(status=status, headers={"Location": authority.url})
    assert f'redirects to "{authority.url}"' in failure_with(authority, tmp_path)
    assert len(authority.asked) == 1


def test_an_authority_that_accepts_and_never_speaks_tls_is_left_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/dir"
        assert "did not answer within 1 s" in failure_at(url, tmp_path, None)


def test_a_server_that_speaks_plain_http_is_named(tmp_path: Path) -> None:
    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as threads:
        threads.submit(answer)
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/dir"
        assert "does not speak TLS as it should" in failure_at(url, tmp_path, None)


def test_an_authority_that_is_down_is_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    why = failure_at(f"https://127.0.0.1:{port}/dir", tmp_path, None)
    assert why.startswith(f"127.0.0.1:{port} cannot be reached: Connection refused")


def test_an_authority_whose_name_does_not_exist_is_named(tmp_path: Path) -> None:
    why = failure_at("https://acme.invalid/dir", tmp_path, None)
    assert why.startswith("acme.invalid has no address")
    assert "DNS of this machine" in why


def test_an_authority_with_an_unknown_root_leads_to_directory_root(
    authority: FalseAuthority, tmp_path: Path
) -> None:
    why = failure_at(authority.url, tmp_path, None)
    assert "certificate that we do not trust" in why
    assert "directory_root" in why
    assert authority.asked == []


def test_directory_root_names_the_only_roots(authority: FalseAuthority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    assert "certificate that we do not trust" in failure_with(authority, tmp_path, other)


def test_an_authority_with_the_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    with false_authority(tmp_path / "other", None, "other.example.com") as authority:
        assert "certificate that we do not trust" in failure_with(authority, tmp_path)
        assert authority.asked == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "has no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has no certificate"),
        ("x" * 2_000_000, "is larger than"),
    ],
    ids=["missing", "empty", "invalid", "large"],
)
def test_a_file_that_is_no_root_is_named(tmp_path: Path, content: str | None, why: str) -> None:
    file = tmp_path / "root.pem"
    if content is not None:
        file.write_text(content)
    found = failure_at("https://127.0.0.1:1/dir", tmp_path, file)
    assert found.startswith(f"directory_root: {file} ")
    assert why in found


def test_the_environment_has_no_effect(
    authority: FalseAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (home / ".netrc").chmod(0o600)
    keys = tmp_path / "keys"
    variables = {
        "HOME": str(home),
        "NETRC": str(home / ".netrc"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "CURL_CA_BUNDLE": "/nowhere",
        "SSL_CERT_FILE": "/nowhere",
        "SSL_CERT_DIR": "/nowhere",
        "SSLKEYLOGFILE": str(keys),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    authority.answer = lambda _: FalseReply(b"[]")
    assert "no ACME directory" in failure_with(authority, tmp_path)
    (asked,) = authority.asked
    assert "Authorization" not in asked.headers
    assert asked.headers["User-Agent"].startswith(f"blue-green/{blue_green.__version__}")
    assert not keys.exists()


def test_a_root_in_the_environment_is_not_trusted(
    authority: FalseAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(authority.root))
    assert "certificate that we do not trust" in failure_at(authority.url, tmp_path, None)


def test_nothing_is_sent_without_tls(authority: FalseAuthority, tmp_path: Path) -> None:
    plain = dict.fromkeys(("newNonce", "newAccount", "newOrder"), "http://127.0.0.1:1/")
    authority.answer = lambda _: FalseReply(json.dumps(plain).encode())
    assert "named a URL that is none of https" in failure_with(authority, tmp_path)


def test_what_is_sent_and_received_is_not_logged(
    authority: FalseAuthority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    authority.answer = lambda _: FalseReply(b'{"a": "received"}')
    failure_with(authority, tmp_path)
    assert "received" not in caplog.text
