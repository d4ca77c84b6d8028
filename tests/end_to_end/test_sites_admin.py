"""The admin address of several sites: readiness, metrics, webhooks and notifications."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from tests.support.admin import Admin
from tests.support.app_checkout import git
from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.waiting import PATIENCE, until

SECRET = "a secret of sufficient length"


@asynccontextmanager
async def probed(admin: Admin) -> AsyncIterator[set[int]]:
    """Probe readiness as a load balancer does until the block ends; the statuses."""
    seen: set[int] = set()

    async def probe() -> None:
        while True:
            # The upgrade in place ends connections to the admin address.
            with suppress(OSError, trio.BrokenResourceError, AssertionError, EOFError):
                seen.add((await admin.ready())[0])
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe)
        yield seen
        nursery.cancel_scope.cancel()


async def test_the_machine_stays_ready_through_a_broken_site_a_reload_and_an_upgrade(
    tmp_path: Path,
) -> None:
    sites = SeveralSites(tmp_path, "blog", "shop")
    admin = Admin(sites)
    broken = 'hosts = ["docs.example.com"]\napp.command = ["x"]\ngit.checkout = "/nowhere"\n'
    sites.file_of("docs").write_text(broken)
    async with sites.running():
        assert await admin.ready() == (
            200,
            "ready\ndocs: [git] checkout: /nowhere: No such file or directory",
        )
        assert (await admin.get("/ready?site=docs")).status == 503
        assert (await admin.get("/ready?site=*")).status == 503
        async with probed(admin) as statuses:
            upgraded = await sites.cli("upgrade")
            assert upgraded.code == 0, upgraded.err
            wiki = sites.add("wiki").commit("one")
            await sites.ask("reload")
            await sites.until_live("wiki", wiki)
            sites.file_of("docs").unlink()
            await sites.ask("reload")
        assert statuses == {200}
        assert (await admin.get("/ready?site=*")).body == b"ready\n"


async def test_requests_count_for_their_site_or_for_none(tmp_path: Path) -> None:
    sites = SeveralSites(tmp_path, "blog", "shop")
    admin = Admin(sites)
    async with sites.running():
        for _ in range(3):
            await sites.get("shop")
        async with HttpClient(sites.port) as http:
            assert (await http.get("/", Host="unknown.example.com")).status == 404

        async def counted() -> bool:
            seen = await admin.metrics()
            requests = {key[1:]: seen[key] for key in seen if key[0] == "blue_green_requests_total"}
            return requests == {("shop", "200"): 3, ("", "404"): 1}

        await until("each request is counted once", counted)


async def test_a_push_to_one_site_deploys_that_site_only_and_its_command_is_notified(
    tmp_path: Path,
) -> None:
    sites = SeveralSites(tmp_path, "blog", "shop")
    admin = Admin(sites)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    heads = {}
    for name, site in sites.sites.items():
        origin = tmp_path / f"{name}.git"
        heads[name] = git(site.checkout, "rev-parse", "HEAD")
        git(tmp_path, "clone", "-q", "--bare", str(site.checkout), str(origin))
        git(site.checkout, "remote", "add", "origin", str(origin))
        git(site.checkout, "fetch", "-q")
        git(site.checkout, "branch", "-q", "-u", "origin/main")
        command = ["sh", "-c", f"cat >>{tmp_path}/{name}.told"]
        sites.change(name, webhook={"secret_file": str(secret)}, notify={"command": command})
    async with sites.running():
        pushed = {}
        for name in sites.sites:
            developer = tmp_path / f"developer-{name}"
            git(tmp_path, "clone", "-q", str(tmp_path / f"{name}.git"), str(developer))
            (developer / "text.txt").write_text(f"{name} two")
            git(developer, "commit", "-qam", "two")
            git(developer, "push", "-q")
            pushed[name] = git(developer, "rev-parse", "HEAD")
        async with HttpClient(admin.port) as forge:
            assert (await forge.post("/hook/blog", b"{}", X_Gitlab_Token=SECRET)).status == 202
            assert (await forge.post("/hook/docs", b"{}", X_Gitlab_Token=SECRET)).status == 404
        # A pull and a swap are a dozen git commands, each of which a busy machine delays.
        await sites.until_live("blog", pushed["blog"], timeout=3 * PATIENCE)
        assert await sites.text_of("shop") == "one"
        assert git(sites["shop"].checkout, "rev-parse", "HEAD") == heads["shop"]
    told = [json.loads(line) for line in (tmp_path / "blog.told").read_text().splitlines()]
    assert [(event["site"], event["revision"]) for event in told] == [
        ("blog", heads["blog"]),
        ("blog", pushed["blog"]),
    ]
