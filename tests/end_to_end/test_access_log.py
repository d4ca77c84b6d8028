"""The access log in both of its formats."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.waiting import until


async def lines_of(site: RealSite, revision: str) -> dict[str, Any]:
    """What the log tells of one request: as text, and what a program makes of it."""
    async with HttpClient(site.port) as http:
        answer = await http.get('/path?a=1&b="2"', X_Request_Id="id-1")
    assert answer.json()["revision"] == revision

    def told() -> list[str]:
        return [line for line in site.log().splitlines() if "id-1" in line]

    lines: list[str] = await until("the line", told)
    return {"line": lines[0], "bytes": len(answer.body)}


def check(fields: dict[str, Any], size: int, revision: str) -> None:
    assert fields["method"] == "GET"
    assert fields["path"] == '/path?a=1&b="2"'
    assert (int(fields["status"]), int(fields["bytes"])) == (200, size)
    assert 0 <= float(fields["seconds"]) < 10
    assert float(fields["held"]) == 0
    assert (fields["slot"], fields["revision"]) == ("blue", revision[:7])
    assert (fields["id"], fields["client"]) == ("id-1", "127.0.0.1")


@pytest.mark.parametrize("form", ["logfmt", "json"])
async def test_a_request_is_logged_in_the_configured_format(
    make_site: Callable[..., RealSite], form: str
) -> None:
    believed = ["127.0.0.1"]
    site = make_site(proxy={"log_format": form, "trusted_proxies": believed, "access_log": True})
    revision = site.commit()
    async with site.running():
        seen = await lines_of(site, revision)
    if form == "json":
        fields = json.loads(seen["line"])["request"]
    else:
        _, kind, *words = shlex.split(seen["line"])
        assert kind == "request"
        fields = dict(word.split("=", 1) for word in words)
    check(fields, seen["bytes"], revision)
