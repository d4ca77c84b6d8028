"""Commands in messages do what the messages say when somebody pastes them."""

import re
import shlex
from collections.abc import Callable

import pytest

from tests.support.launch import Done
from tests.support.several_sites import SeveralSites

MakeSites = Callable[..., SeveralSites]


async def paste(sites: SeveralSites, text: str, command: str) -> Done:
    """Run this command as a message has it."""
    found = re.search(rf"blue-green ({command}[^)\n:,]*?)(?: makes| ends|[)\n:,]|$)", text)
    assert found, text
    return await sites.cli(*shlex.split(found[1]))


@pytest.mark.long
async def test_a_revision_in_quarantine_is_retried_as_it_was_requested(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop")
    shop = sites["shop"]
    async with sites.running():
        one = (await sites.status_of("shop"))["live"]["revision"]
        away = sites.directory / "database-is-away"
        away.touch()
        unlucky = shop.app.draft("shop unlucky", raises_while_there_is=str(away))
        assert (await sites.cli("swap", "--site", "shop", unlucky)).code == 1
        away.unlink()
        refused = await sites.cli("swap", "--site", "shop", unlucky, "--preview", "--for", "5m")
        done = await paste(sites, refused.out, "swap")
        assert (done.code, "preview of " + unlucky[:7] in done.out) == (0, True), done
        status = await sites.status_of("shop")
        assert (status["live"]["revision"], status["trial"]["revision"]) == (one, unlucky)
        for refused in (
            await sites.cli("upgrade"),
            await sites.cli("restart", "--site", "shop"),
            await sites.cli("swap", "--site", "shop", unlucky),
        ):
            assert "blue-green abort --site shop ends it" in refused.err
        done = await paste(sites, (await sites.cli("status", "shop")).out, "promote")
        assert done.code == 0, done
        assert await sites.text_of("shop") == "unlucky"
        assert (await sites.cli("rollback", "--site", "shop")).code == 0
        shown = await sites.cli("status", "shop")
        assert (await sites.status_of("shop"))["live"]["revision"] == one, shown
