"""A page that was loaded before a swap finds its script after it, as do all requests meanwhile."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.support import browser
from tests.support.browser import Browser
from tests.support.http_client import HttpClient
from tests.support.killed import killed_at_the_end, until_remembered
from tests.support.site import RealSite
from tests.support.static_site import StaticSite, publish, script_of, visited
from tests.waiting import until

MakeSite = Callable[..., RealSite]

ASSETS = {"/assets/": "public/assets"}


def script_in_answer(answer: bytes) -> str:
    """The path of the script of the app's page."""
    return script_of(json.loads(answer)["text"])


async def status_of_script(site: RealSite, text: str) -> int:
    """Whether the site has the script of the release with this text, and not only the app."""
    answer = await site.get(script_of(text))
    is_file = "javascript" in answer.headers.get("content-type", "")
    assert is_file or "revision" in answer.json()
    return answer.status if is_file else 404


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_over_five_swaps_of_an_app_under_load_no_asset_is_missing(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(files=ASSETS, swap={"strategy": strategy, "soak": "300ms"})
    first = publish(site.checkout, "first")
    async with site.running():
        await site.until_live(first)
        async with visited(site.port, script_in_answer) as visits:
            for number in range(5):
                async with visits.during_a_swap():
                    await site.until_live(publish(site.checkout, f"number {number}"))


@pytest.mark.long
async def test_a_page_of_a_release_that_was_taken_back_finds_its_script(
    make_site: MakeSite,
) -> None:
    site = make_site(files=ASSETS, swap={"soak": "30s"})
    one = publish(site.checkout, "one")
    async with killed_at_the_end(site):
        await site.until_live(one)
        two = publish(site.checkout, "two")

        async def is_two() -> bool:
            return bool((await site.get("/")).json()["revision"] == two)

        await until("two is live", is_two)
        assert await status_of_script(site, "two") == 200
        assert (await site.cli("rollback")).code == 0
        assert (await site.get("/")).json()["revision"] == one
        assert await status_of_script(site, "two") == 200
        await until_remembered(site, one)
    async with site.running():
        assert (await site.get("/")).json()["revision"] == one
        assert await status_of_script(site, "two") == 200


@pytest.mark.long
async def test_a_release_that_never_was_live_is_not_served(make_site: MakeSite) -> None:
    site = make_site(files=ASSETS)
    one = publish(site.checkout, "one")
    async with site.running():
        await site.until_live(one)
        (site.checkout / "app.py").write_text("raise SystemExit(1)")
        publish(site.checkout, "broken")
        assert (await site.cli("swap")).code == 1
        assert await status_of_script(site, "broken") == 404


@pytest.mark.long
async def test_files_are_served_while_an_app_is_replaced_or_paused(make_site: MakeSite) -> None:
    site = make_site(files=ASSETS, swap={"strategy": "exclusive"})
    one = publish(site.checkout, "one")
    async with site.running():
        await site.until_live(one)
        assert (await site.cli("pause")).code == 0
        assert await status_of_script(site, "one") == 200
        assert (await site.cli("resume")).code == 0
        two = publish(site.checkout, "two")
        barrier = site.put_up("start", two)
        await until("it starts", barrier.with_name(f"{barrier.name}.reached").exists)
        assert await status_of_script(site, "one") == 200
        assert await status_of_script_now(site, "two") is None
        barrier.unlink()
        await site.until_live(two)
        assert await status_of_script(site, "two") == 200


async def status_of_script_now(site: RealSite, text: str) -> int | None:
    """None if the request waits for the app, as there is no such file yet."""
    with trio.move_on_after(0.3):
        return await status_of_script(site, text)
    return None


@pytest.mark.long
async def test_a_request_that_waited_for_the_start_gets_the_file(make_site: MakeSite) -> None:
    """The app would answer 404: files are not its work."""
    site = make_site(files=ASSETS)
    one = publish(site.checkout, "one")
    barrier = site.put_up("start", one)
    async with site.running(wait_for="starting"), trio.open_nursery() as nursery:

        async def get() -> None:
            assert await status_of_script(site, "one") == 200

        nursery.start_soon(get)

        async def waits() -> bool:
            return bool((await site.status())["held"])

        await until("the request waits", waits)
        barrier.unlink()


@pytest.mark.long
async def test_a_swap_without_collectstatic_fails_before_the_switch(make_site: MakeSite) -> None:
    site = make_site(files={"/static/": "staticfiles"}, release={"build": ["true"]})
    site.commit("one")
    site.configure(files={"/static/": None, "/": "."})
    async with site.running():
        site.configure(files={"/": None, "/static/": "staticfiles"})
        assert (await site.cli("reload")).code == 0
        site.commit("two")
        done = await site.cli("swap")
        assert done.code == 1
        assert '[files] "/static": the release has no directory staticfiles' in done.out + done.err
        assert "collectstatic" in done.out + done.err
        assert (await site.get("/")).json()["text"] == "one"


@pytest.mark.long
async def test_in_place_there_are_no_earlier_releases(make_site: MakeSite) -> None:
    site = make_site(files=ASSETS, release={"in_place": True})
    one = publish(site.checkout, "one")
    async with site.running():
        await site.until_live(one)
        assert await status_of_script(site, "one") == 200
        await site.until_live(publish(site.checkout, "two"))
        assert await status_of_script(site, "one") == 404
        assert await status_of_script(site, "two") == 200


async def connected(site: RealSite) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", site.port)


@pytest.mark.long
async def test_a_slow_download_goes_on_after_a_swap_and_finishes_before_an_upgrade(
    tmp_path: Path,
) -> None:
    site = StaticSite(tmp_path)
    site.publish("one", large="x" * 30_000_000)
    async with site.real.running(), await connected(site.real) as stream:
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = len(await stream.receive_some(100))
        await site.real.until_live(site.publish("two"))
        async with trio.open_nursery() as nursery:
            upgraded: list[int] = []

            async def upgrade() -> None:
                upgraded.append((await site.real.cli("upgrade")).code)

            nursery.start_soon(upgrade)
            with trio.move_on_after(7):  # Longer than clients may wait at an upgrade.
                while True:
                    await trio.sleep(0.5)
                    async with HttpClient(site.real.port) as http:
                        assert "<title>two" in (await http.get("/")).body.decode()
            assert upgraded == []
            async for data in stream:
                received += len(data)
        assert upgraded == [0]
        assert received > 30_000_000
        assert "<title>two" in await site.text()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if browser.COMMAND is None:
        pytest.skip("there is no chromium")
    with Browser.running(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.long
async def test_a_browser_loads_the_script_of_a_page_from_five_swaps_ago(
    tmp_path: Path, chromium: Browser
) -> None:
    site = StaticSite(tmp_path)
    first = site.publish("first")
    async with site.real.running():
        await site.real.until_live(first)
        tab = await chromium.open(f"http://127.0.0.1:{site.real.port}/")
        await tab.until('document.title === "first runs"')
        for number in range(5):
            await site.real.until_live(site.publish(f"number {number}"))
        await tab.evaluate('document.title = "before"')
        lazy = json.dumps(f"{script_of('first')}?lazy")
        await tab.evaluate(f"import({lazy}).catch((error) => console.error(error)) && undefined")
        await tab.until('document.title === "first runs"')
        await tab.evaluate("location.reload()")
        await tab.until('document.title === "number 4 runs"')
        # Chromium asks for the icon of a page by itself.
        assert [error for error in tab.errors if "favicon" not in error] == []


@pytest.mark.long
async def test_other_directories_are_served_from_the_next_swap_on(make_site: MakeSite) -> None:
    site = make_site(files=ASSETS)
    one = publish(site.checkout, "one")
    async with site.running():
        await site.until_live(one)
        site.configure(files={"/more/": "public"})
        done = await site.cli("reload")
        assert done.code == 0
        assert "next swap" in done.out
        assert (await site.get("/more/")).json()["text"] == "one"  # The app answers.
        assert (await site.cli("restart")).code == 0
        assert b"<title>one" in (await site.get("/more/")).body
