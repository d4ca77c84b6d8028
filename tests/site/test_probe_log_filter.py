"""The app's log lines about successful probes are left out of its output, and nothing else."""

import sys
from collections.abc import Callable

import pytest

from blue_green.site.probe_log_filter import Probe, ProbeLogFilter
from tests.support.site import RealSite
from tests.waiting import until

HTTP_SERVER = '127.0.0.1 - - [26/Nov/2026 19:58:34] "GET /healthz HTTP/1.1" 200 -'
GUNICORN = '127.0.0.1 - - [26/Nov/2026:19:58:41 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "{}"'
UVICORN = 'INFO:     127.0.0.1:{} - "GET /healthz HTTP/1.1" 200 OK'
PROBE = Probe("/healthz", 40123, ())


@pytest.fixture
def lines() -> ProbeLogFilter:
    lines = ProbeLogFilter()
    lines.expect(PROBE)
    return lines


@pytest.mark.parametrize(
    "line", [HTTP_SERVER, GUNICORN.format("blue-green"), UVICORN.format(40123)]
)
def test_the_line_of_a_good_probe_is_left_out_once(lines: ProbeLogFilter, line: str) -> None:
    assert lines.filter(["before", line, line, "after"]) == ["before", line, "after"]


@pytest.mark.parametrize(
    "line",
    [
        GUNICORN.format("Mozilla/5.0"),
        UVICORN.format(40124),
        UVICORN.format(0).replace("127.0.0.1", "203.0.113.7"),
        HTTP_SERVER.replace("127.0.0.1", "127.0.0.10"),
        HTTP_SERVER.replace("GET", "POST"),
        HTTP_SERVER.replace("/healthz", "/healthz?all"),
        HTTP_SERVER.replace("200", "500"),
        HTTP_SERVER.replace(" 200 -", ""),
        "all is well",
        "",
    ],
)
def test_a_line_about_anything_else_stays(lines: ProbeLogFilter, line: str) -> None:
    assert lines.filter([line]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        GUNICORN.format("blue-green").replace("127.0.0.1", ""),
        UVICORN.replace("127.0.0.1:{}", ""),
    ],
)
def test_the_line_of_a_probe_over_a_unix_socket_is_left_out_once(line: str) -> None:
    lines = ProbeLogFilter()
    lines.expect(Probe("/healthz", 0, ()))
    assert lines.filter(["before", line, line, "after"]) == ["before", line, "after"]


@pytest.mark.parametrize(
    "line",
    [
        GUNICORN.format("Mozilla/5.0").replace("127.0.0.1", ""),
        GUNICORN.format("blue-green").replace("127.0.0.1", "203.0.113.7"),
        UVICORN.format(0).replace("127.0.0.1", "203.0.113.7"),
        UVICORN.format(0).replace("127.0.0.1", "[2001:db8::1]"),
        UVICORN.replace("127.0.0.1:{}", "2001:db8::1"),
    ],
)
def test_the_line_of_a_client_stays_when_probes_go_over_a_unix_socket(line: str) -> None:
    lines = ProbeLogFilter()
    lines.expect(Probe("/healthz", 0, ()))
    assert lines.filter([line]) == [line]


def test_the_line_of_a_failed_probe_stays(lines: ProbeLogFilter) -> None:
    lines.failed(PROBE)
    assert lines.filter([HTTP_SERVER]) == [HTTP_SERVER]


async def test_only_real_requests_are_in_the_output_of_a_site(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site(app={"command": [sys.executable, "-u", "-m", "http.server", "{port}"]})
    site.configure(health={"path": "/text.txt"})
    site.commit("one")
    async with site.running():
        assert (await site.get("/text.txt")).status == 200
        assert (await site.get("/behaviour.json")).status == 200
        await until("it is logged", lambda: "GET /behaviour.json" in site.log())
        await until("one line", lambda: site.log().count("GET /text.txt") == 1)
