"""What `swap --no-wait` answers."""

from pathlib import Path
from typing import Any

import pytest

from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site
from blue_green.site.swap import Swap
from blue_green.site.trial_plan import TrialKind, TrialPlan
from blue_green.site.trigger import Trigger
from blue_green.supervisor import queued_text
from tests.support import site_parts
from tests.support.repository import Repository

LIVE, NEW = "a" * 40, "b" * 40
CANARY = TrialPlan(TrialKind.CANARY, 600, 10)
PREVIEW = TrialPlan(TrialKind.PREVIEW, 600)


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    [site] = site_parts.make_single(tmp_path / "state", Repository(tmp_path / "checkout").path)
    site_parts.go_live(site)
    return site


def ignore(_: dict[str, Any]) -> None:
    pass


def asked(revision: str, plan: TrialPlan | None = None, *, retry: bool = False) -> DeployRequest:
    return DeployRequest(revision, Trigger.SWAP, retry=retry, plan=plan)


async def test_a_new_revision_is_queued(site: Site) -> None:
    assert queued_text.text(site, asked(NEW, CANARY)) == "bbbbbbb is queued"


async def test_the_answer_for_a_preview_says_how_to_get_its_link(site: Site) -> None:
    assert queued_text.text(site, asked(NEW, PREVIEW)) == (
        "bbbbbbb is queued. When its preview has begun, this prints the link: "
        "blue-green swap bbbbbbb --preview"
    )


async def test_the_live_revision_is_not_queued_again_unless_it_is_retried(site: Site) -> None:
    assert queued_text.text(site, asked(LIVE)) == "aaaaaaa is live already"
    assert queued_text.text(site, asked(LIVE, CANARY)) == (
        "aaaaaaa is live already, so there is no canary"
    )
    assert queued_text.text(site, asked(LIVE, retry=True)) == "aaaaaaa is queued"


async def test_a_revision_that_is_being_deployed_is_not_queued_again(site: Site) -> None:
    request = asked(NEW)
    site.queue.current = Swap(site, request, ignore)
    assert queued_text.text(site, request) == "bbbbbbb is being deployed already"
    site.queue.current.supersede()
    assert queued_text.text(site, request) == "bbbbbbb is queued"
