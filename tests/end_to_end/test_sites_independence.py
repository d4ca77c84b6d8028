"""A site does not notice what happens to the others."""

from pathlib import Path

import pytest

from tests.support.troubled_sites import BROKEN, CALM, CRASHING, PAUSED, troubled_sites

GENEROUS = 1.0
"""Seconds within which 99 of 100 requests are answered while the machine is busy with other tests.
`python -m tests.bench --table neighbours` measures it on a quiet one."""


@pytest.mark.long
async def test_a_site_serves_as_before_while_others_crash_and_queue_and_fail(
    tmp_path: Path,
) -> None:
    async with troubled_sites(tmp_path) as troubled:
        sites = troubled.sites
        before, during = sites.load(CALM), sites.load(CALM)
        async with before.going_on():
            await before.more(200)
        async with during.going_on():
            await troubled.begin()
            await during.more(300)
            await sites.until_live(CALM, sites[CALM].commit("two"))
            await during.until_text(f"{CALM} two")
        assert before.failures == during.failures == []
        assert during.percentile(0.99) < max(GENEROUS, 10 * before.percentile(0.99))
        assert (await sites.status_of(PAUSED))["held"] > 0
    others = troubled.others
    assert all("503 Service Unavailable" in why for why in others[PAUSED].failures)
    assert others[CRASHING].failures != []
    assert others[BROKEN].failures == [], "its old release went on serving"
