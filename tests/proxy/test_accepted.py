"""Which protocol a new connection gets: HTTP/2 while it is enabled, if the client asks for it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from blue_green.config.process_settings import Http2Settings
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import TlsStream, authority, trusting, write_pair
from tests.raw.waiting import patience

OFF = Http2Settings(enabled=False)


async def agreed(proxy: RunningProxy, *protocols: str) -> str | None:
    """The protocol of a new connection whose client offers these."""
    context = trusting()
    if protocols:
        context.set_alpn_protocols(protocols)
    stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", proxy.port), context)
    async with stream:
        with patience("a handshake", stream.tls.version):
            await stream.shake_hands()
        return stream.tls.selected_alpn_protocol()


async def test_clients_that_ask_for_http_2_get_it_and_others_do_not(tmp_path: Path) -> None:
    async with running(tls=write_pair(tmp_path)) as proxy:
        assert await agreed(proxy, "http/1.1", "h2") == "h2"
        assert await agreed(proxy, "http/1.1") == "http/1.1"
        assert await agreed(proxy) is None


async def test_a_reload_turns_http_2_off_and_on_for_new_connections(tmp_path: Path) -> None:
    async with running(tls=write_pair(tmp_path)) as proxy:
        assert await agreed(proxy, "h2", "http/1.1") == "h2"
        proxy.use(http2=OFF)
        assert await agreed(proxy, "h2", "http/1.1") == "http/1.1"
        proxy.use()
        assert await agreed(proxy, "h2", "http/1.1") == "h2"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_gets_http_2(tmp_path: Path, version: str) -> None:
    root = tmp_path / "root.pem"
    authority().cert_pem.write_to_path(root)
    async with running(tls=write_pair(tmp_path)) as proxy:
        words = ["openssl", "s_client", version, "-alpn", "h2,http/1.1", "-CAfile", str(root)]
        words += ["-verify_return_error", "-servername", "localhost"]
        with patience("openssl", lambda: None):
            done = await trio.run_process(
                [*words, "-connect", f"127.0.0.1:{proxy.port}"],
                stdin=b"",
                capture_stdout=True,
                stderr=subprocess.STDOUT,
            )
    lines = done.stdout.decode("latin-1").splitlines()
    assert "ALPN protocol: h2" in lines
    assert "Compression: NONE" in lines
