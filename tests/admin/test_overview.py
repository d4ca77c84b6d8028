"""The page and the events of several sites: a row for each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blue_green.admin.overview import MAX_HOSTS, MAX_TEXT
from blue_green.certificates.host_certificate import HostCertificate
from tests.support.admin_address import admin_address
from tests.support.browser import Browser
from tests.support.gates import a_target
from tests.support.site_parts import add, broken, go_live, named, remove, serving


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)


async def test_the_first_event_has_all_rows_and_the_others_only_what_changed(
    tmp_path: Path,
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin, admin.reader() as reader:
        event = await reader.next()
        assert event["complete"] is True
        assert [row["site"] for row in event["sites"]] == ["blog", "shop"]
        assert event["sites"][0] == {
            "site": "blog",
            "hosts": "*",
            "phase": "starting",
            "step": None,
            "maintenance": False,
            "why": "No release is live yet.",
            "certificates": "",
            "processes": "",
            "revision": None,
            "subject": "",
            "requests_per_second": 0.0,
            "in_flight": 0,
            "held": 0,
            "errors": 0,
        }
        event = await reader.next()
        assert (event["complete"], event["sites"], event["removed"]) == (False, [], [])
        admin.of("shop").gate.refuse("The app does not start.")
        event = await reader.next()
        [row] = event["sites"]
        assert row.keys() == {"site", "phase", "why"}
        assert (row["site"], row["phase"]) == ("shop", "failing")


async def test_events_follow_sites_that_a_reload_adds_and_removes(tmp_path: Path) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin, admin.reader() as reader:
        await reader.next()
        blog = admin.of("blog")
        remove(admin.sites, blog)
        admin.run(add(admin.sites, named(blog.settings, "wiki"), admin.repository.path))
        docs = broken(blog.settings, "docs")
        docs.maintenance.begin(message="", until=None, allow=[], secret=False)
        admin.sites.add_broken("docs", "no checkout", docs)
        event = await reader.next()
        assert event["removed"] == ["blog"]
        assert {(row["site"], row["phase"], row["maintenance"]) for row in event["sites"]} == {
            ("wiki", "starting", False),
            ("docs", "broken", True),
        }


async def test_events_of_a_site_say_that_it_is_gone_and_begin_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with (
        admin_address(tmp_path, ["blog", "shop"]) as admin,
        admin.reader("?site=blog") as reader,
    ):
        event = await reader.next()
        assert (event["site"], event["complete"]) == ("blog", True)
        assert (await reader.next())["complete"] is False
        blog = admin.of("blog")
        remove(admin.sites, blog)
        missing = {"site": "blog", "missing": "There is no such site."}
        assert await reader.next() == missing
        admin.sites.broken["blog"] = "no checkout"
        event = await reader.next()
        assert event["missing"] == "This site does not run: no checkout"
        add(admin.sites, blog.settings, admin.repository.path)
        event = await reader.next()
        assert (event["site"], event["complete"]) == ("blog", True)


async def test_a_row_is_bounded_whatever_the_site_contains(tmp_path: Path) -> None:
    async with admin_address(tmp_path, ["blog"]) as admin:
        blog = admin.of("blog")
        hosts = [f"{number}.example.com" for number in range(1000)]
        blog.settings = serving(blog.settings, hosts=hosts, paths=["/a", "/b"])
        blog.gate.refuse("why " * 1000)
        async with admin.reader() as reader:
            [row] = (await reader.next())["sites"]
        first = "0.example.com/a, 0.example.com/b, 1.example.com/a"
        assert row["hosts"] == f"{first} and {2000 - MAX_HOSTS} more"
        assert len(row["why"]) == MAX_TEXT


async def test_the_page_has_a_row_for_each_site_that_leads_to_its_own_page_and_back(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, ["blog", "shop", "wiki"]) as admin:
        blog, shop, wiki = admin.sites
        blog.settings = serving(blog.settings, hosts=["blog.example.com"])
        for site in (blog, shop):
            go_live(site)
        shop.output.take("blue", "0" * 40, ["of the shop"], is_error=False)
        wiki.gate.refuse("<b>it does not start</b>")
        tab = await chromium.open(admin.url)
        await tab.until_reads("#phase", "1 of 3 sites not ready")
        assert "blog.example.com" in await tab.text("#rows tr:has(a[href='?site=blog'])")
        assert "down" in await tab.text("#rows tr:has(a[href='?site=wiki'])")
        assert "<b>it does not start</b>" in await tab.text("#notices")
        assert await tab.text("#lines") == ""

        shop.gate.by_status[502] += 7
        errors = "#rows tr:has(a[href='?site=shop']) td:last-child"
        await tab.until_reads(errors, "7")

        await tab.evaluate("document.querySelector(\"#rows a[href='?site=shop']\").click()")
        await tab.until_reads("#lines", "of the shop")
        assert await tab.text("#name") == "shop"
        assert await tab.text("#rows") == ""
        await tab.evaluate("history.back()")
        await tab.until_reads("#phase", "1 of 3 sites not ready")
        await tab.evaluate("history.forward()")
        await tab.until_reads("#lines", "of the shop")
        await tab.evaluate("document.querySelector('#back a').click()")
        await tab.until_reads("#phase", "1 of 3 sites not ready")
        assert tab.errors == []


async def test_the_page_shows_which_site_is_in_maintenance_and_never_the_link(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin:
        blog = admin.of("blog")
        for site in admin.sites:
            site.gate.switch([a_target()])
        blog.maintenance.begin(message="<b>Moving", until=None, allow=["::1"], secret=True)
        async with admin.reader() as reader:
            event = await reader.next()
        assert [row["maintenance"] for row in event["sites"]] == [True, False]
        tab = await chromium.open(admin.url)
        await tab.until_reads("#rows tr:has(a[href='?site=blog'])", "maintenance")
        assert "maintenance" not in await tab.text("#rows tr:has(a[href='?site=shop'])")
        await tab.evaluate("document.querySelector(\"#rows a[href='?site=blog']\").click()")
        await tab.until_reads("#phase", "in maintenance")
        notices = await tab.text("#notices")
        assert "503 until further notice; admitted: 1 network and holders of the secret" in notices
        assert "message: <b>Moving" in notices
        token = blog.maintenance.link.rpartition("/")[2]
        assert not await tab.evaluate(f"document.body.innerText.includes('{token}')")
        blog.maintenance.end()
        await tab.until_reads("#phase", "serving")
        assert tab.errors == []


async def test_a_link_in_a_row_keeps_the_focus_while_the_row_changes(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin:
        tab = await chromium.open(admin.url)
        await tab.until_reads("#rows", "shop")
        await tab.evaluate("document.querySelector(\"#rows a[href='?site=shop']\").focus()")
        admin.of("shop").gate.refuse("down")
        await tab.until_reads("#rows tr:has(a[href='?site=shop'])", "down")
        assert await tab.evaluate("document.activeElement.textContent") == "shop"


async def test_the_page_of_a_site_says_that_it_was_removed_and_shows_it_again_when_it_is_back(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin:
        blog = admin.of("blog")
        tab = await chromium.open(f"{admin.url}?site=blog")
        await tab.until_reads("#slots", "nothing yet")
        overview = await chromium.open(admin.url)
        await overview.until_reads("#rows", "blog")
        remove(admin.sites, blog)
        await overview.until("!document.querySelector('#rows').innerText.includes('blog')")
        await tab.look_at()
        await tab.until_reads("#notices", "There is no such site.")
        assert await tab.text("#slots") == ""
        add(admin.sites, blog.settings, admin.repository.path)
        await tab.until_reads("#slots", "nothing yet")
        assert [*tab.errors, *overview.errors] == []


async def test_the_page_of_all_sites_fits_a_phone_and_is_readable(
    tmp_path: Path, chromium: Browser
) -> None:
    names = ["blog", "a-name-without-end" * 3, "shop"]
    async with admin_address(tmp_path, names) as admin:
        blog = admin.of("blog")
        blog.settings = serving(blog.settings, hosts=["a-host-without-end" * 3 + ".example.com"])
        blog.gate.refuse("down " * 30)
        for dark in (False, True):
            tab = await chromium.open(admin.url, width=360, dark=dark)
            await tab.until_reads("#rows", "shop")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
            await tab.check_is_readable()
            assert tab.errors == []


async def test_hundreds_of_sites_are_drawn_and_kept_up_to_date(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, [f"site{number:03}" for number in range(300)]) as admin:
        tab = await chromium.open(admin.url)
        await tab.until_reads("#phase", "300 of 300 sites not ready")
        assert await tab.evaluate("document.querySelectorAll('#rows tbody tr').length") == 300
        for site in admin.sites:
            go_live(site)
        await tab.until_reads("#phase", "300 sites ready")
        assert await tab.evaluate("document.querySelectorAll('#notices li').length") == 0
        assert tab.errors == []


async def test_the_page_shows_certificates_that_need_attention(
    tmp_path: Path, chromium: Browser
) -> None:
    end = datetime.now(UTC) + timedelta(days=60, hours=1)
    known = {
        "blog": [HostCertificate("blog.example.com", "acme", end)],
        "shop": [HostCertificate(f"{n}.example.com", "acme", problem="<b>no DNS") for n in "abc"],
    }
    async with admin_address(tmp_path, ["blog", "shop"]) as admin:
        admin.sites.use_certificates(lambda site: known[site.name])
        for site in admin.sites:
            go_live(site)
        tab = await chromium.open(admin.url)
        await tab.until_reads("#notices", "shop: a.example.com (and 2 more hosts): no certificate:")
        await tab.until_reads("#phase", "2 sites ready")
        tab = await chromium.open(f"{admin.url}?site=shop")
        await tab.until_reads("#notices", "c.example.com: no certificate: <b>no DNS")
        tab = await chromium.open(f"{admin.url}?site=blog")
        await tab.until_reads("#numbers", "60 d")
