"""Maintenance: it lasts until it is ended, or until its time, whatever happens to the site."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.site import maintenance
from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.site import Site
from blue_green.site.state import State
from tests.support import site_parts
from tests.support.http_client import Answer, HttpClient
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    [site] = site_parts.make_single(tmp_path, tmp_path, notify={"command": ["true"]})
    return site


@pytest.fixture
def events(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was reported of the maintenance."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(site.notify, "report_maintenance", lambda *event: found.append(event))
    return found


def begin(site: Site, **differing: Any) -> None:
    given: dict[str, Any] = {"message": "", "until": None, "allow": [], "secret": False}
    site.maintenance.begin(**{**given, **differing})


def is_on(site: Site) -> bool:
    """Whether it applies to requests."""
    return site.served.maintenance is not None


def restarted(site: Site) -> Site:
    """The same site in a new process, which restores what the state remembers."""
    new = Site(site.settings, owner=site.user, user=site.user, state=site.state)
    new.maintenance.restore()
    return new


async def test_it_applies_to_requests_until_it_is_ended(
    site: Site, events: list[tuple[str, str]]
) -> None:
    assert site.status.as_dict()["maintenance"] is None
    begin(site, message="Soon.", allow=["192.0.2.0/24"])
    assert is_on(site)
    shown = site.status.as_dict()["maintenance"]
    since = shown.pop("since")
    assert since.startswith("20") and since.endswith("+00:00")
    assert shown == {
        "message": "Soon.", "until": None, "allow": ["192.0.2.0/24"], "has_link": False
    }  # fmt: skip
    assert site.maintenance.end()
    assert not is_on(site)
    assert not site.maintenance.end()
    assert events == [("begun", "until further notice, except for 1 network"), ("ended", "")]


async def test_beginning_again_replaces_all_but_the_link_and_the_beginning(
    site: Site, events: list[tuple[str, str]]
) -> None:
    begin(site, message="Soon.", allow=["192.0.2.0/24"], secret=True)
    first, link = site.maintenance.record, site.maintenance.link
    assert first is not None and link.startswith("/maintenance-access/")
    begin(site, secret=True)
    assert site.maintenance.record == MaintenanceRecord(first.since, token=first.token)
    begin(site)
    assert site.maintenance.link == ""
    begin(site, secret=True)
    assert site.maintenance.link not in ("", link)
    assert [outcome for outcome, _ in events] == ["begun", "changed", "changed", "changed"]


async def test_a_link_is_never_the_same_after_the_end(site: Site) -> None:
    begin(site, secret=True)
    link = site.maintenance.link
    site.maintenance.end()
    begin(site, secret=True)
    assert site.maintenance.link != link


async def test_the_link_is_in_neither_the_status_nor_the_log(
    site: Site, caplog: pytest.LogCaptureFixture, events: list[tuple[str, str]]
) -> None:
    with caplog.at_level(logging.DEBUG):
        begin(site, secret=True)
    token = site.maintenance.link.rpartition("/")[2]
    assert token not in json.dumps(site.status.as_dict()) + caplog.text + str(events)


async def test_it_ends_by_itself_when_its_time_has_come(
    site: Site, events: list[tuple[str, str]]
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.maintenance.run)
        begin(site, until=time.time() + 0.2)
        await until("it has ended", lambda: not is_on(site))
        nursery.cancel_scope.cancel()
    assert events[-1] == ("ended", "its time is over")
    assert site.state.maintenance is None


async def test_a_new_end_replaces_the_one_before(site: Site) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.maintenance.run)
        begin(site, until=time.time() + 0.2)
        await trio.testing.wait_all_tasks_blocked()
        begin(site)
        await trio.sleep(0.3)
        assert is_on(site)
        nursery.cancel_scope.cancel()


async def test_it_ends_in_time_when_somebody_sets_the_clock(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LONGEST_SLEEP", 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.maintenance.run)
        end = time.time() + 3600
        begin(site, until=end)
        await trio.testing.wait_all_tasks_blocked()
        site.maintenance.clock = lambda: end
        await until("it has ended", lambda: not is_on(site))
        nursery.cancel_scope.cancel()


async def test_it_continues_after_a_restart_unless_its_time_has_passed(site: Site) -> None:
    begin(site, until=time.time() + 3600, secret=True)
    new = restarted(site)
    assert is_on(new)
    assert new.maintenance.link == site.maintenance.link
    assert site.state.maintenance is not None
    site.state.maintenance.until = time.time() - 1
    new = restarted(site)
    assert not is_on(new)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(new.maintenance.run)
        await until("it is forgotten", lambda: new.state.maintenance is None)
        nursery.cancel_scope.cancel()


async def test_the_state_file_has_it(site: Site) -> None:
    begin(site, message='"Soon" \\ ä', until=time.time() + 9, allow=["::1"], secret=True)
    await site.save()
    assert site.state_file.load().maintenance == site.maintenance.record
    site.maintenance.end()
    await site.save()
    assert site.state_file.load() == State(boot=site.state.boot)


# --- with a real supervisor ------------------------------------------------------------------


async def get(site: RealSite, path: str = "/", **headers: str) -> Answer:
    async with HttpClient(site.port) as http:
        return await http.get(path, **headers)


async def test_maintenance_survives_a_swap_and_a_restart(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        done = await site.cli("maintenance", "on", "--message", "Moving <house>", "--secret")
        assert done.code == 0, done
        first, *_, last = done.out.splitlines()
        assert first == "in maintenance until further notice: new requests get 503"
        origin, slash, path = last.strip().partition("/maintenance-access/")
        assert origin == f"http://127.0.0.1:{site.port}"
        opened = await get(site, slash + path)
        ours = opened.headers["set-cookie"].partition(";")[0]
        await site.until_live(site.commit("two"))
        assert (await get(site)).body == b"In maintenance\nMoving <house>\n"
        assert (await get(site, Cookie=ours)).json()["text"] == "two"
    async with site.running():
        assert (await get(site)).status == 503
        assert (await get(site, Cookie=ours)).json()["text"] == "two"
        assert (await site.ask("maintenance"))["links"] == [last.strip()]
        assert (await site.ask("maintenance", do="off"))["was_on"]
        assert (await get(site)).status == 200
    assert path not in site.log()
