"""A wake, a canary and maintenance, for streams that share a connection."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.support.http2_site import started
from tests.support.http2_user_agent import Http2Client, http2_client
from tests.support.http_client import Answer
from tests.support.site import RealSite
from tests.support.sleeping import SOON, is_asleep, sleeping, until_asleep, until_held
from tests.support.swaps import outcomes, reaches
from tests.support.tls_site import with_tls
from tests.waiting import until

MakeSite = Callable[..., RealSite]
MANY = 30
"""Streams at a time."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A site for all tests that leave it as it was: `one` is live, and soon asleep."""
    site = with_tls(RealSite(tmp_path_factory.mktemp("steering"), idle=SOON))
    with started(site, "asleep"):
        yield site


@asynccontextmanager
async def all_at_once(
    client: Http2Client, cookies: list[str], path: str = "/"
) -> AsyncIterator[list[Answer | None]]:
    """Streams with these cookies, whose answers are there at the end of the block."""
    answers: list[Answer | None] = [None] * len(cookies)

    async def ask(number: int, cookie: str) -> None:
        headers = {"cookie": cookie} if cookie else {}
        if number % 3:
            answers[number] = await client.get(path, **headers)
        else:
            answers[number] = await client.post(path, b"x" * number, **headers)

    async with trio.open_nursery() as nursery:
        for number, cookie in enumerate(cookies):
            nursery.start_soon(ask, number, cookie)
        yield answers


async def releases(client: Http2Client, cookies: list[str]) -> list[str]:
    """The texts of the releases that answer streams with these cookies, in the same order."""
    async with all_at_once(client, cookies) as answers:
        pass
    assert {answer and answer.status for answer in answers} == {200}
    return [answer.json()["text"] for answer in answers if answer]


async def statuses(client: Http2Client, cookies: list[str]) -> list[int]:
    async with all_at_once(client, cookies) as answers:
        pass
    return [answer.status for answer in answers if answer]


async def test_streams_of_one_connection_wait_until_the_site_is_awake(site: RealSite) -> None:
    status = await until_asleep(site)
    site.put_up("start", site.head())
    async with http2_client(site.port) as client:
        async with all_at_once(client, [""] * MANY) as answers:
            await until_held(site, MANY)
            with trio.move_on_after(0.1):  # One that is reset leaves.
                await client.get("/left")
            await until_held(site, MANY)
            assert (await site.status())["phase"] == "waking"
            site.take_down_barriers()
        assert [answer and answer.status for answer in answers] == [200] * MANY
        assert client.connections == 1
    assert (await site.status())["sleep"]["wakes"] == status["sleep"]["wakes"] + 1
    assert not [line for line in site.journal() if line["path"] == "/left"]


async def test_streams_of_one_connection_get_the_release_of_their_cookies(site: RealSite) -> None:
    async with http2_client(site.port) as client:
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        answer = await client.get("/")
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        canary = value.partition(".")[0]
        kinds = [f"{name}={canary}.{number}" for number in (0, 4999, 5000, 9999)]
        expected = ["two", "two", "one", "one"]
        order = [random.randrange(4) for _ in range(MANY)]
        got = await releases(client, [kinds[kind] for kind in order])
        assert got == [expected[kind] for kind in order]
        # Without the cookie, all are one client.
        assert set(await releases(client, [""] * 8)) == {answer.json()["text"]}
        await site.ask("abort")
        assert set(await releases(client, kinds * 2)) == {"one"}
        assert client.connections == 1
    assert outcomes(site)[-1] == ("aborted", two)


async def test_only_streams_with_the_cookie_of_the_link_pass_a_maintenance(
    site: RealSite,
) -> None:
    async with http2_client(site.port) as client:
        link, cookie = await begin_maintenance(site, client)
        visitors_and_holders = ["", cookie] * (MANY // 2)
        assert await statuses(client, visitors_and_holders) == [503, 200] * (MANY // 2)
        refused = await client.get("/")
        assert (refused.status, refused.headers["retry-after"]) == (503, "300")
        await site.ask("maintenance", do="off")
        assert await statuses(client, visitors_and_holders) == [200] * MANY
        assert (await client.get(link)).status == 200, "the link is a path of the app now"
        assert client.connections == 1


async def begin_maintenance(site: RealSite, client: Http2Client) -> tuple[str, str]:
    """The path of its secret link, and the cookie that it sets."""
    answer = await site.ask("maintenance", do="on", secret=True)
    (link,) = answer["links"]
    path = link.removeprefix(f"https://127.0.0.1:{site.port}")
    assert path.startswith("/maintenance-access/"), link
    opened = await client.get(path)
    assert (opened.status, opened.headers["location"]) == (303, "../")
    set_cookie = opened.headers["set-cookie"]
    assert set_cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    return path, set_cookie.partition(";")[0]


@pytest.mark.long
async def test_maintenance_refuses_streams_that_wait_but_those_of_holders(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site())
    site.commit("one")
    async with site.running(), http2_client(site.port) as client:
        await site.ask("pause", seconds=60)
        async with all_at_once(client, [""] * MANY) as refused:
            await until_held(site, MANY)
            _, cookie = await begin_maintenance(site, client)
            await until_held(site, 0)
            async with all_at_once(client, [cookie] * MANY) as answers:
                await until_held(site, MANY)
                await site.ask("resume")
        assert {answer and answer.status for answer in refused} == {503}
        assert {answer and answer.status for answer in answers} == {200}
        assert client.connections == 1


@pytest.mark.long
async def test_streams_that_maintenance_refuses_do_not_wake_a_site_and_those_of_holders_do(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site(idle=SOON))
    async with sleeping(site), http2_client(site.port) as client:
        _, cookie = await begin_maintenance(site, client)
        assert set(await statuses(client, [""] * MANY)) == {503}
        assert await is_asleep(site)
        assert await statuses(client, ["", cookie] * (MANY // 2)) == [503, 200] * (MANY // 2)
        assert (await site.status())["sleep"]["wakes"] == 1
        assert client.connections == 1


@pytest.mark.long
async def test_a_site_wakes_again_and_again_for_streams_of_which_many_are_reset(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site(idle=SOON))

    async def leave(client: Http2Client) -> None:
        with trio.move_on_after(random.uniform(0, 0.5)):
            await client.get("/")

    async with sleeping(site), http2_client(site.port) as client:
        for _ in range(10):
            await until_asleep(site)
            async with trio.open_nursery() as nursery:
                for _ in range(MANY):
                    nursery.start_soon(leave, client)
                assert set(await statuses(client, [""] * MANY)) == {200}
        status = await until_asleep(site)
        assert (status["sleep"]["wakes"], status["sleep"]["failed_wakes"]) == (10, 0)
        assert client.connections == 1


@pytest.mark.long
async def test_streams_keep_to_their_releases_until_the_canary_is_promoted(
    make_site: MakeSite,
) -> None:
    site = with_tls(make_site())
    site.commit("one")
    seen: list[tuple[str, str]] = []
    failures: list[str] = []

    async def load(client: Http2Client, cookie: str) -> None:
        while True:
            try:
                [text] = await releases(client, [cookie])
                seen.append((cookie, text))
            except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                failures.append(repr(error))
            await trio.sleep(0.05)

    async def more() -> None:
        count = len(seen)
        await until("more answers", lambda: len(seen) > count + 4 * MANY or failures)

    async with site.running(), http2_client(site.port) as client:
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        name, _, value = (await client.get("/")).headers["set-cookie"].partition("=")
        kinds = {
            f"{name}={value.partition('.')[0]}.{number}": number for number in range(0, 10000, 400)
        }
        async with trio.open_nursery() as nursery:
            for cookie in kinds:
                nursery.start_soon(load, client, cookie)
            await more()
            assert [
                one for one in seen if one[1] != ("two" if kinds[one[0]] < 5000 else "one")
            ] == []
            await site.ask("promote")
            seen.clear()
            await more()
            nursery.cancel_scope.cancel()
        assert {text for _, text in seen} == {"two"}
        assert client.connections == 1
    assert failures == []
