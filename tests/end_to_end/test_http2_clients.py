"""Programs that speak HTTP/2, and a real site: curl, nghttp, h2load, node, httpx, Go."""

import asyncio
import hashlib
import json
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.support.http2_site import Http2Site, Ran, curl, needs, run_program, running_site

UPLOAD = 20_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http2Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


def first_head(answer: Ran) -> tuple[str, dict[str, str]]:
    """The status line of an answer that was printed with its head, and the fields."""
    head, _, _ = answer.out.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first.strip(), dict(line.split(": ", 1) for line in lines)


# --- curl ---


async def test_curl_gets_a_page_and_its_head(site: Http2Site) -> None:
    got = await curl(site, "/", "-i")
    assert first_head(got)[0] == "HTTP/2 200"
    assert b'"via": ["2.0 blue-green"]' in got.out
    head = await curl(site, "/bytes?1000", "-I")
    first, fields = first_head(head)
    assert (first, fields["content-length"]) == ("HTTP/2 200", "1000")


@pytest.mark.parametrize("has_length", [True, False])
async def test_curl_uploads_20_megabytes(site: Http2Site, tmp_path: Path, has_length: bool) -> None:
    file = tmp_path / "upload"
    file.write_bytes(data := os.urandom(UPLOAD))
    source, stdin = (str(file), b"") if has_length else ("-", data)
    got = (await curl(site, "/upload", "-T", source, stdin=stdin)).json()
    assert (got["method"], got["length"]) == ("PUT", UPLOAD)
    assert got["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("has_length", [True, False])
async def test_curl_posts(site: Http2Site, has_length: bool) -> None:
    more = [] if has_length else ["-H", "Transfer-Encoding: chunked"]
    got = (await curl(site, "/post", "-d", "a=1", *more)).json()
    assert (got["length"], got["fields"]["content-length"]) == (3, ["3"])


async def test_curl_waits_for_100_before_it_sends_a_body(site: Http2Site) -> None:
    got = await curl(site, "/post", "-i", "-H", "Expect: 100-continue", "-d", "hello")
    assert got.text.startswith("HTTP/2 100 \r\n\r\nHTTP/2 200 \r\n")
    assert '"length": 5' in got.text


async def test_curl_resumes_a_download_and_gets_a_range(site: Http2Site, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    await curl(site, f"/bytes?{UPLOAD}", "-o", str(whole))
    part.write_bytes(whole.read_bytes()[:5_000_000])
    format = "%{http_version} %{http_code} %{size_download}"
    got = await curl(site, f"/bytes?{UPLOAD}", "-C", "-", "-o", str(part), "-w", format)
    assert got.text == f"2 206 {UPLOAD - 5_000_000}"
    assert len(whole.read_bytes()) == UPLOAD
    assert part.read_bytes() == whole.read_bytes()
    assert (await curl(site, "/bytes?1000", "-r", "10-19")).out == bytes(range(10, 20))


async def test_curl_gets_trailers(site: Http2Site) -> None:
    answer = await curl(site, "/trailers", "-i")
    assert answer.text.endswith("trailer: X-Checksum\r\n\r\nbodyx-checksum: 1234\r\n")


async def test_curl_gets_200_files_at_once_on_one_connection(
    site: Http2Site, tmp_path: Path
) -> None:
    format = "%{http_version} %{http_code} %{size_download} %{num_connects}\n"
    words = ["-Z", "--parallel-max", "100", "-w", format, "-o", f"{tmp_path}/#1"]
    got = await curl(site, "/bytes?[1001-1200]", *words)
    shown = [line.split() for line in got.text.splitlines() if line.startswith("2 ")]
    assert sorted(line[:3] for line in shown) == [["2", "200", str(n)] for n in range(1001, 1201)]
    assert sum(int(line[3]) for line in shown) == 1


# --- nghttp and h2load ---


async def nghttp(site: Http2Site, path: str, *words: str) -> Ran:
    return await run_program("nghttp", "-y", *words, site.url(path))


@pytest.mark.parametrize("option", ["--stat", "--no-dep"])
async def test_nghttp_gets_a_page_and_its_200_scripts(site: Http2Site, option: str) -> None:
    got = await nghttp(site, "/page", "-n", "-a", "-s", option)
    shown = re.findall(r" (\d{3}) +\S+ (/\S+)$", got.text, re.MULTILINE)
    assert {status for status, _ in shown} == {"200"}
    assert len({path for _, path in shown}) == 201


async def test_nghttp_sends_and_gets_large_heads(site: Http2Site) -> None:
    got = await nghttp(site, "/fields?40000", "-v", "-H", f"X-Large: {'a' * 12_000}")
    assert f"x-large: {'x' * 40_000}\n" in got.text
    assert re.findall(r"\) (set-cookie: .+)", got.text) == ["set-cookie: a=1", "set-cookie: b"]
    refused = await nghttp(site, "/fields?4", "-v", "-H", f"X-Large: {'a' * 20_000}")
    assert ":status: 431" in refused.text


async def test_nghttp_sends_trailers(site: Http2Site, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(os.urandom(100_000))
    words = ["--trailer", "X-Checksum: 1234", "-d", str(file)]
    got = (await nghttp(site, "/post", "--no-content-length", *words)).json()
    assert (got["length"], got["trailers"]) == (100_000, {"x-checksum": "1234"})
    got = (await nghttp(site, "/post", *words)).json()
    assert (got["length"], got["trailers"]) == (100_000, {}), "HTTP/1.1 has no place for them"


async def test_nghttp_reads_through_a_tiny_window(site: Http2Site) -> None:
    got = await nghttp(site, "/bytes?100000", "-w", "10", "-W", "10")
    assert len(got.out) == 100_000


async def h2load(site: Http2Site, path: str, *words: str) -> int:
    """Run it with eight connections; how many requests succeeded, which must be all."""
    shown = (await run_program("h2load", "-c", "8", *words, site.url(path))).text
    assert "Application protocol: h2\n" in shown, shown
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", shown)
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", shown)
    assert requests is not None and statuses is not None, shown
    assert requests.groups()[1:] == statuses.groups()[1:] == ("0", "0", "0"), shown
    assert requests[1] == statuses[1], shown
    return int(requests[1])


@pytest.mark.parametrize("streams", ["1", "16"])
async def test_h2load_succeeds(site: Http2Site, streams: str) -> None:
    assert await h2load(site, "/asset/1.js", "-m", streams, "-n", "400") == 400


@pytest.mark.long
async def test_h2load_uploads_and_downloads(site: Http2Site, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(os.urandom(100_000))
    assert await h2load(site, "/post", "-m", "16", "-n", "800", "-d", str(file)) == 800
    assert await h2load(site, "/bytes?300000", "-m", "16", "-n", "800") == 800


@pytest.mark.long
@pytest.mark.parametrize("streams", ["1", "16"])
async def test_h2load_succeeds_during_swaps(site: Http2Site, streams: str) -> None:
    needs("h2load")
    async with trio.open_nursery() as nursery:
        count = 0

        async def load() -> None:
            nonlocal count
            count = await h2load(site, "/asset/1.js", "-m", streams, "-D", "6")

        nursery.start_soon(load)
        for text in ("first", "second"):
            await trio.sleep(1)
            await site.until_live(site.commit(f"{text} with {streams}"))
    assert count > 500


# --- libraries ---


async def test_httpx_sends_150_requests_at_once(site: Http2Site) -> None:
    async def pieces() -> Any:
        for _ in range(5):
            yield b"abc" * 1000

    async def talk() -> None:
        context = ssl.create_default_context(cafile=str(site.root))
        async with httpx.AsyncClient(http1=False, http2=True, verify=context) as client:
            urls = [site.url(f"/bytes?{size}") for size in range(150)]
            answers = await asyncio.gather(*map(client.get, urls))
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert [len(answer.content) for answer in answers] == list(range(150))
            answer = await client.post(site.url("/post"), content=b"x" * 3_000_000)
            assert answer.json()["length"] == 3_000_000
            answer = await client.post(site.url("/post"), content=pieces())
            assert answer.json()["length"] == 15_000

    await trio.to_thread.run_sync(asyncio.run, talk())


NODE = """
const [url, root] = process.argv.slice(1);
const ca = require("fs").readFileSync(root);
const session = require("http2").connect(url, {ca});
const send = (fields, body) => new Promise((resolve, reject) => {
    const stream = session.request(fields);
    const answer = {length: 0};
    stream.on("response", (head) => { answer.status = head[":status"]; });
    stream.on("trailers", (trailers) => { answer.trailers = {...trailers}; });
    stream.on("data", (data) => { answer.length += data.length; });
    stream.on("end", () => resolve(answer));
    stream.on("error", reject);
    stream.end(body);
});
(async () => {
    const sizes = [...Array(150).keys()];
    const many = await Promise.all(sizes.map((size) => send({":path": `/bytes?${size}`})));
    const trailers = await send({":path": "/trailers"});
    const posted = await send({":path": "/post", ":method": "POST"}, Buffer.alloc(3_000_000));
    const rtt = await new Promise((resolve) => session.ping((error, time) => resolve(time)));
    console.log(JSON.stringify({many, trailers, posted, rtt}));
    session.close();
})();
"""


async def test_node_sends_150_requests_at_once(site: Http2Site) -> None:
    got = (await run_program("node", "-e", NODE, site.url(""), str(site.root))).json()
    assert got["many"] == [{"status": 200, "length": size} for size in range(150)]
    assert got["trailers"] == {"status": 200, "length": 4, "trailers": {"x-checksum": "1234"}}
    assert got["posted"]["status"] == 200
    assert got["rtt"] > 0


GO = """
package main

import ("encoding/json"; "fmt"; "io"; "net/http"; "os"; "strings"; "sync")

func main() {
	url, wait, lock := os.Args[1], sync.WaitGroup{}, sync.Mutex{}
	seen := map[string]int{}
	for i := 0; i < 200; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			answer, err := http.Get(fmt.Sprintf("%s/bytes?%d", url, i))
			if err != nil { panic(err) }
			body, _ := io.ReadAll(answer.Body)
			lock.Lock()
			seen[fmt.Sprint(answer.Proto, " ", answer.StatusCode, " ", len(body) == i)]++
			lock.Unlock()
		}(i)
	}
	wait.Wait()
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 3000000)))  // Of unknown length.
	answer, err := http.Post(url + "/post", "text/plain", body)
	if err != nil { panic(err) }
	seen[fmt.Sprint("posted ", answer.StatusCode)]++
	json.NewEncoder(os.Stdout).Encode(seen)
}
"""


@pytest.mark.long
async def test_go_sends_200_requests_at_once(site: Http2Site, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(GO)
    words = ["go", "run", str(tmp_path / "main.go"), site.url("")]
    got = await run_program(*words, SSL_CERT_FILE=str(site.root))
    assert json.loads(got.text) == {"HTTP/2.0 200 true": 200, "posted 200": 1}
