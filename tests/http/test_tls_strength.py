"""Which versions of TLS and which cipher suites are accepted."""

import shutil
import ssl
import subprocess
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import trio
import trustme

from blue_green.certificates.pem import HTTP1
from blue_green.certificates.table import TableEntry
from tests.raw.proxy import running
from tests.raw.tls_client import entry_for, write_pair

GCM_AND_CHACHA = {
    "ECDHE-{}-AES128-GCM-SHA256",
    "ECDHE-{}-AES256-GCM-SHA384",
    "ECDHE-{}-CHACHA20-POLY1305",
}
TLS_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
KINDS = ("ECDSA", "RSA")


def lenient_client() -> ssl.SSLContext:
    """A client that accepts whatever the library knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


@cache
def entry_of(kind: str) -> TableEntry:
    return entry_for("a.example", key_type=trustme.KeyType[kind])


def agreed(client_context: ssl.SSLContext, kind: str) -> tuple[str | None, str]:
    """The version and the suite of a handshake; raise `ssl.SSLError` if there is none."""
    entry = entry_of(kind)
    assert entry.loaded is not None
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up)
    server = entry.sessions.context().wrap_bio(up, down, server_side=True)
    server.context = entry.loaded.contexts.offering(HTTP1)
    for side in (client, server) * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    cipher = client.cipher()
    assert cipher is not None
    return client.version(), cipher[0]


@pytest.mark.parametrize("kind", KINDS)
def test_only_authenticated_encryption_with_forward_secrecy_is_accepted_in_tls_1_2(
    kind: str,
) -> None:
    """So none is one of those that HTTP/2 prohibits (RFC 9113 appendix A)."""
    accepted = set()
    for suite in lenient_client().get_ciphers():
        context = lenient_client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with suppress(ssl.SSLError):
            context.set_ciphers(f"{suite['name']}:@SECLEVEL=0")
            accepted.add(agreed(context, kind))
    assert accepted == {("TLSv1.2", name.format(kind)) for name in GCM_AND_CHACHA}


def test_neither_compression_nor_renegotiation_is_possible() -> None:
    """HTTP/2 prohibits both (RFC 9113 section 9.2.1)."""
    options = entry_of("ECDSA").sessions.context().options
    assert options & ssl.OP_NO_COMPRESSION
    assert options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("version", ["SSLv3", "TLSv1", "TLSv1_1"])
def test_versions_before_1_2_are_refused(version: str) -> None:
    context = lenient_client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(ssl.SSLError):
        agreed(context, "RSA")


@pytest.mark.parametrize("kind", KINDS)
def test_chacha_is_chosen_for_clients_that_prefer_it(kind: str) -> None:
    context = lenient_client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    assert "AES128-GCM" in agreed(context, kind)[1]
    context.set_ciphers("ECDHE+CHACHA20:ECDHE+AESGCM")
    assert "CHACHA20" in agreed(context, kind)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_tls_1_3_is_chosen_by_clients_that_have_it(kind: str) -> None:
    version, suite = agreed(lenient_client(), kind)
    assert version == "TLSv1.3"
    assert suite in TLS_1_3


@pytest.mark.skipif(not shutil.which("sslscan"), reason="needs the program sslscan")
@pytest.mark.parametrize("kind", KINDS)
async def test_sslscan_finds_nothing_weak(tmp_path: Path, kind: str) -> None:
    tls = write_pair(tmp_path, key_type=trustme.KeyType[kind])
    async with running(tls=tls) as proxy:
        command = ["sslscan", "--no-colour", "--sni-name=localhost", f"127.0.0.1:{proxy.port}"]
        scan = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)
    lines = [line.split() for line in scan.stdout.decode().splitlines()]
    versions = {line[0]: line[1] for line in lines if line[1:] in (["enabled"], ["disabled"])}
    off = dict.fromkeys(("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"), "disabled")
    assert versions == {**off, "TLSv1.2": "enabled", "TLSv1.3": "enabled"}
    suites = {line[4] for line in lines if line[:1] in (["Accepted"], ["Preferred"])}
    assert suites == TLS_1_3 | {name.format(kind) for name in GCM_AND_CHACHA}
    text = scan.stdout.decode()
    assert "Session renegotiation not supported" in text
    assert "vulnerable to heartbleed" in text
    assert text.count("vulnerable") == text.count("not vulnerable")
