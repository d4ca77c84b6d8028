"""A revision is built once, however many swaps need it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.support.launch import Done
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

BUILD = (
    "echo $BLUE_GREEN_REVISION >>$SHARED/builds; "
    "while [ -e $SHARED/wait ]; do sleep 0.02; done; [ ! -e $SHARED/fail ]"
)


@pytest.fixture
def site(make_site: MakeSite) -> RealSite:
    """One that records its builds, which wait while there is `wait`; `fail` fails them."""
    site = make_site(release={"build": ["sh", "-c", BUILD]})
    site.configure(app={"env": {"SHARED": str(site.directory)}})
    site.commit("one")
    return site


def builds_of(site: RealSite, revision: str) -> int:
    return (site.directory / "builds").read_text().split().count(revision)


def outcome(done: Done) -> str:
    receipt: dict[str, Any] = json.loads(done.out)
    return str(receipt["outcome"])


async def test_a_second_swap_joins_a_running_build_and_later_ones_reuse_it(site: RealSite) -> None:
    async with site.running():
        one = (await site.status())["live"]["revision"]
        two, wait = site.draft("two"), site.directory / "wait"
        wait.touch()
        async with trio.open_nursery() as nursery:

            async def swap() -> None:
                assert outcome(await site.cli("swap", two, "--json")) == "promoted"

            nursery.start_soon(swap)
            await until("it is being built", lambda: builds_of(site, two))
            await site.ask("swap", revision=two, wait=False)
            wait.unlink()
        receipt = (await site.until_live(two))["last_swap"]
        assert (receipt["outcome"], receipt["previous"]) == ("promoted", one)

        for words in ([one], [two], [two, "--retry"]):
            assert outcome(await site.cli("swap", *words, "--json")) == "promoted"
        assert (builds_of(site, one), builds_of(site, two)) == (1, 1)


async def test_a_failed_build_is_repeated_only_on_request(
    site: RealSite,
) -> None:
    fail = site.directory / "fail"
    async with site.running():
        fail.touch()
        two = site.draft("two")
        assert outcome(await site.cli("swap", two, "--json")) == "failed"
        fail.unlink()
        again = await site.cli("swap", two, "--json")
        assert "it is in quarantine" in json.loads(again.out)["reason"]
        assert builds_of(site, two) == 1
        assert outcome(await site.cli("swap", two, "--retry", "--json")) == "promoted"
        assert builds_of(site, two) == 2
