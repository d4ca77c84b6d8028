"""The admin address of several sites: `?site=NAME` selects one."""

from pathlib import Path

import pytest

from blue_green.admin.routes import site_in
from tests.support.admin_address import admin_address
from tests.support.http_client import HttpClient
from tests.support.site_parts import go_live


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", None),
        ("site=blog", "blog"),
        ("t=1&site=blog&x", "blog"),
        ("website=blog", None),
        ("site=", ""),
        ("site=caf%C3%A9", "café"),
    ],
)
def test_the_site_is_read_from_the_query(query: str, name: str | None) -> None:
    assert site_in(query) == name


async def test_readiness_is_told_of_the_machine_or_of_one_site(tmp_path: Path) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin, HttpClient(admin.port) as http:
        go_live(admin.of("blog"))
        admin.sites.broken["wiki"] = "no checkout"
        seen = {
            query: (answer.status, answer.body.decode())
            for query in ("", "?site=blog", "?site=shop", "?site=wiki", "?site=none", "?site=*")
            if (answer := await http.get(f"/ready{query}"))
        }
        unready = "shop: No release is live yet.\nwiki: no checkout\n"
        assert seen == {
            "": (200, f"ready\n{unready}"),
            "?site=blog": (200, "ready\n"),
            "?site=shop": (503, "No release is live yet.\n"),
            "?site=wiki": (503, "no checkout\n"),
            "?site=none": (404, "There is no such site.\n"),
            "?site=*": (503, f"not ready\n{unready}"),
        }


async def test_an_unknown_webhook_looks_like_any_unknown_path(tmp_path: Path) -> None:
    async with admin_address(tmp_path, ["blog"]) as admin, HttpClient(admin.port) as http:
        hook = await http.post("/hook/shop", b"x")
        other = await http.post("/nothing", b"x")
    assert (hook.status, hook.body) == (other.status, other.body)
    assert hook.status == 404
