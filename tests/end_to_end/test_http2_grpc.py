"""gRPC-Web works with an app that serves it. Native gRPC does not, since apps get HTTP/1.1."""

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.browser import Browser
from tests.support.http2_site import Http2Site

grpc = pytest.importorskip("grpc", reason="needs grpcio: see CONTRIBUTING.md")
pytestmark = pytest.mark.long

CALL = """(method, text) => {
    // As the protocol of gRPC-Web says: a flag and a length before each message, and the trailers
    // as a last message with the flag 0x80.
    const message = new TextEncoder().encode(text);
    const body = new Uint8Array(5 + message.length);
    new DataView(body.buffer).setUint32(1, message.length);
    body.set(message, 5);
    const type = "application/grpc-web+proto";
    const headers = {"Content-Type": type, Accept: type};
    const call = {messages: [], at: [], trailers: null, error: null};
    (async () => {
        const answer = await fetch(`/demo.Echo/${method}`, {method: "POST", headers, body});
        call.status = answer.status;
        call.type = answer.headers.get("content-type");
        const reader = answer.body.getReader();
        let data = new Uint8Array(0);
        for (;;) {
            const {value, done} = await reader.read();
            if (done) break;
            const all = new Uint8Array(data.length + value.length);
            all.set(data);
            all.set(value, data.length);
            data = all;
            while (data.length >= 5) {
                const end = 5 + new DataView(data.buffer, data.byteOffset).getUint32(1);
                if (data.length < end) break;
                const text = new TextDecoder().decode(data.subarray(5, end));
                if (data[0] & 0x80) call.trailers = text;
                else { call.messages.push(text); call.at.push(performance.now()); }
                data = data.subarray(end);
            }
        }
        call.done = true;
    })().catch((error) => { call.error = String(error); call.done = true; });
    return call;
}"""


async def test_a_browser_calls_grpc_web_methods(tmp_path: Path, tls_chromium: Browser) -> None:
    pytest.importorskip("sonora", reason="needs sonora: see CONTRIBUTING.md")
    pytest.importorskip("gunicorn")
    site = Http2Site(tmp_path, "grpc_web")
    gunicorn = [sys.executable, "-m", "gunicorn", "grpc_web:app", "--bind", "127.0.0.1:{port}"]
    site.configure(app={"command": gunicorn})
    site.commit("one")
    async with site.running():
        tab = await tls_chromium.open(site.url("/"))
        await tab.until("document.readyState === 'complete'")

        async def call(method: str, text: str) -> Any:
            await tab.evaluate(f"(call = ({CALL})({method!r}, {text!r})) && undefined")
            await tab.until("call.done")
            return await tab.evaluate("call")

        said = await call("Say", "hello")
        assert (said["status"], said["error"]) == (200, None)
        assert said["type"].startswith("application/grpc-web")
        assert said["messages"] == ["you said hello"]
        assert "grpc-status: 0" in said["trailers"]
        counted = await call("Count", "5")
        assert counted["messages"] == list("01234")
        assert counted["at"][-1] - counted["at"][0] > 300, "they did not come one by one"
        assert "grpc-status: 0" in counted["trailers"]
        refused = await call("Refuse", "")
        assert "grpc-status: 7" in refused["trailers"]
        protocols = (
            "[...new Set(performance.getEntriesByType('resource').map((e) => e.nextHopProtocol))]"
        )
        assert await tab.evaluate(protocols) == ["h2"]


async def test_an_app_that_serves_native_grpc_fails_its_swap_with_the_reason(
    tmp_path: Path,
) -> None:
    site = Http2Site(tmp_path, "native_grpc", health={"start_timeout": "3s"})
    site.commit("one")
    async with site.running(wait_for="failing"):
        reason = (await site.status())["last_swap"]["reason"]
        assert reason == (
            "not healthy within 3 s: GET /healthz failed: "
            "it answered in HTTP/2, as gRPC servers do; backends have to speak HTTP/1.1"
        )


async def test_a_native_grpc_call_fails_and_is_logged(tmp_path: Path) -> None:
    """Its client gets the app's response, which is not one of gRPC."""
    site = Http2Site(tmp_path)
    site.commit("one")

    def call() -> Any:
        trust = grpc.ssl_channel_credentials(site.root.read_bytes())
        with grpc.secure_channel(f"localhost:{site.port}", trust) as channel:
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary("/demo.Echo/Say")(b"hello", timeout=20)
        return failed.value

    async with site.running():
        error = await trio.to_thread.run_sync(call)
        assert error.code() == grpc.StatusCode.UNKNOWN, error
        [line] = await site.until_logged_requests(" path=/demo.Echo/Say ")
        assert "status=200" in line
        assert "method=POST" in line
