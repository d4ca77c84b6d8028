"""Static sites beside apps, and beside processes; a site that gets an app, and TLS."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.support.admin import Admin
from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.support.static_site import StaticSite, publish, script_of, visited
from tests.waiting import until

MakeStatic = Callable[..., StaticSite]
MakeSites = Callable[..., SeveralSites]

AFTER_BARRIER = "while [ -e $BARRIERS/build ]; do sleep 0.01; done; cp -r public dist"


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_site_loses_and_gets_an_app_by_a_reload(
    make_static: MakeStatic, strategy: str
) -> None:
    site = make_static(swap={"soak": "200ms"}, app={"command": ["sleep", "1"]})
    real = site.real
    app = type(real)(real.directory / "other").sections["app"]
    real.configure(app={**app, "env": real.app.env}, health={"path": "/healthz"})
    one = site.publish("one")
    async with real.running():
        await real.until_live(one)
        assert "<title>one" in await site.text()
        assert (await real.get("/other")).json()["revision"] == one
        async with visited(real.port):
            real.sections["app"], real.sections["swap"] = {"name": "test"}, {}
            del real.sections["health"]
            real.configure()
            assert (await real.cli("reload")).code == 0
            assert (await real.get("/other")).json()["revision"] == one
            status = await real.until_live(site.publish("two"))
            assert status["live"]["pids"] == []
            assert (await real.get("/other")).status == 404
            await until("the app has ended", lambda: real.processes() == [])
            swap = {"strategy": strategy, "soak": "200ms"}
            real.configure(app={**app, "env": real.app.env}, health={"path": "/healthz"}, swap=swap)
            assert (await real.cli("reload")).code == 0
            three = site.publish("three")
            await real.until_live(three)
            assert (await real.get("/other")).json()["revision"] == three


@pytest.mark.long
async def test_static_sites_beside_an_app(make_sites: MakeSites) -> None:
    sites = make_sites("shop")
    admin = Admin(sites)
    for name in ("blog", "wiki"):
        site = sites.add(name, redirect_hosts=[f"www.{name}.example.com"])
        make_static_site(sites, name)
        publish(site.checkout, f"{name} one")
    async with sites.running(), sites.loaded("shop"):
        for name in ("blog", "wiki"):
            answer = await sites.get(name)
            assert f"<title>{name} one" in answer.body.decode()
            async with HttpClient(sites.port) as http:
                moved = await http.get("/a?b", Host=f"www.{name}.example.com")
                assert (moved.status, moved.headers["location"]) == (
                    308, f"http://{name}.example.com/a?b",
                )  # fmt: skip
        await sites.until_live("blog", publish(sites["blog"].checkout, "blog two"))
        assert "<title>blog two" in (await sites.get("blog")).body.decode()
        assert "<title>wiki one" in (await sites.get("wiki")).body.decode()
        assert await admin.ready() == (200, "ready")
        metrics = await admin.metrics()
        assert metrics["blue_green_requests_total", "blog", "200"] >= 1
        status = await sites.cli("status")
        assert status.code == 0
        assert "blog" in status.out
        one = await sites.cli("status", "blog")
        assert "a static site, went live" in one.out


def make_static_site(sites: SeveralSites, name: str) -> None:
    settings = sites[name].settings
    settings["app"], settings["swap"] = {}, {}
    del settings["health"]
    sites.change(name, files={"/": "public"})


@pytest.mark.long
async def test_a_static_site_is_added_and_removed_by_a_reload(make_sites: MakeSites) -> None:
    sites = make_sites("shop")
    async with sites.running(), sites.loaded("shop"):
        site = sites.add("blog")
        make_static_site(sites, "blog")
        publish(site.checkout, "blog one")
        assert (await sites.cli("reload")).code == 0
        assert "<title>blog one" in (await sites.get("blog")).body.decode()
        sites.file_of("blog").unlink()
        assert (await sites.cli("reload")).code == 0
        assert (await sites.get("blog")).status == 404
        del sites.sites["blog"]


@pytest.mark.long
async def test_a_process_beside_a_static_site_takes_its_release_back_if_it_fails(
    make_static: MakeStatic,
) -> None:
    work = ["sh", "-c", "[ -e public/works.html ] || exit 1; exec sleep 600"]
    site = make_static(processes={"worker": {"command": work}}, swap={"soak": "1s"})
    one = site.publish("one", works="it does")
    async with site.real.running():
        status = await site.real.until_live(one)
        await until("it works", site.real.processes)
        site.publish("broken")
        done = await site.real.cli("swap", "--json")
        assert done.code == 1
        assert "worker" in json.loads(done.out)["reason"]
        assert "<title>one" in await site.text()
        assert "broken runs" in await site.text(script_of("broken"))
        two = site.publish("two", works="it does")
        status = await site.real.until_live(two)
        assert "soak" in status["last_swap"]["seconds"]
        assert "<title>two" in await site.text()


@pytest.mark.long
async def test_a_static_site_over_tls(make_static: MakeStatic, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    site = make_static(proxy={"tls": {**files, "redirect": []}}, tls={"hsts": "1d"})
    context = ssl.create_default_context()
    authority.configure_trust(context)
    one = site.publish("one", large="x" * 3_000_000)
    async with site.real.running():
        await site.real.until_live(one)
        async with HttpClient(site.real.port, tls=context) as http:
            page = await http.get("/")
            assert "<title>one" in page.body.decode()
            assert page.headers["strict-transport-security"] == "max-age=86400"
            assert len((await http.get("/large")).body) == 3_000_000
            await site.real.until_live(site.publish("two"))
            assert "one runs" in (await http.get(script_of("one"))).body.decode()
        assert (await site.real.cli("upgrade")).code == 0
        async with HttpClient(site.real.port, tls=context) as http:
            assert "one runs" in (await http.get(script_of("one"))).body.decode()


@pytest.mark.long
async def test_a_static_site_below_a_path_of_another(make_sites: MakeSites) -> None:
    sites = make_sites("shop")
    docs = sites.add("docs", hosts=["shop.example.com"], paths=["/docs"], strip_path=True)
    make_static_site(sites, "docs")
    publish(docs.checkout, "docs one", guide="the guide")
    async with sites.running(), sites.loaded("shop"):
        assert (await sites.get("shop", "/docs/guide")).body == b"the guide"
        assert "<title>docs one" in (await sites.get("shop", "/docs/")).body.decode()
        assert (await sites.get("shop", "/docs/none")).status == 404
        sites.change("docs", strip_path=False, files={"/docs/": "public"})
        del docs.settings["files"]["/"]
        sites.change("docs")
        assert (await sites.cli("reload")).code == 0
        await sites.until_live("docs", publish(docs.checkout, "docs two", guide="the guide"))
        assert (await sites.get("shop", "/docs/guide")).body == b"the guide"
        assert "<title>docs two" in (await sites.get("shop", "/docs/")).body.decode()


@pytest.mark.long
async def test_a_command_runs_in_the_live_release_of_a_static_site(make_static: MakeStatic) -> None:
    site = make_static()
    one = site.publish("one", about="of one")
    async with site.real.running():
        await site.real.until_live(one)
        settings = ("--config", str(site.real.config_file))
        done = await site.real.run("exec", *settings, "--", "cat", "public/about.html")
        assert (done.code, done.out) == (0, "of one")
