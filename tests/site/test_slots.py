"""When a slot with two backends gets requests, with no supervisor around it."""

import sys
from pathlib import Path

import pytest
import trio

from blue_green.config.kinds import Argv, Port, Ports
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.routing.gate import Gate
from blue_green.site import crash
from blue_green.site.site import Site
from blue_green.site.slots import Slots
from blue_green.source.release import Release
from blue_green.system import users
from tests.support.site import free_ports
from tests.waiting import until

APP = """
echo $PORT >>starts
while [ -e late-$PORT ]; do sleep 0.01; done
[ ! -e broken-$PORT ] && exec "$PYTHON" -m http.server $PORT --bind 127.0.0.1
exit 1
"""
"""One that starts when it may, if it can."""


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    ports = [Port(port) for port in free_ports(4)]
    both = Ports(((ports[0], ports[1]), (ports[2], ports[3])))
    app = AppSettings(Argv(("sh", "-c", APP)), both, env={"PYTHON": sys.executable})
    settings = SiteSettings("test", tmp_path / "supervisor.toml", tmp_path / "state", app)
    us = users.owner_of(Path("/proc/self"))
    return Site(settings, owner=us, user=us)


@pytest.fixture
async def slots(site: Site, tmp_path: Path, nursery: trio.Nursery) -> Slots:
    """Both slots of the site. In the blue one there is a release."""
    slots = site.slots
    nursery.start_soon(slots.run)
    slots.blue.release = Release("a" * 40, tmp_path)
    return slots


@pytest.fixture
async def gate(site: Site) -> Gate:
    return site.gate


def ports_of(gate: Gate) -> list[int]:
    return [target.address.port for target in gate.targets]


async def test_a_backend_that_is_still_starting_gets_no_request_when_its_slot_goes_live(
    slots: Slots, gate: Gate, tmp_path: Path
) -> None:
    """As when traffic goes back to a release of which a backend was just being started again."""
    prompt, late = slots.blue.ports
    marker = tmp_path / f"late-{late}"
    marker.touch()
    assert slots.blue.release is not None
    await slots.blue.start(slots.blue.release)
    slots.go_live(slots.blue)
    assert ports_of(gate) == []
    slots.blue.supervise()
    await until("one takes requests", lambda: ports_of(gate) == [prompt])
    assert [(await gate.acquire()).target.address.port for _ in range(3)] == [prompt] * 3
    marker.unlink()
    await until("both do", lambda: ports_of(gate) == [prompt, late])
    assert (await gate.acquire()).target.address.port == late
    await slots.stop()


async def test_requests_are_refused_only_when_all_backends_keep_failing(
    slots: Slots, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one that can never start would turn each hiccup of the other into an outage."""
    monkeypatch.setattr(crash, "FIRST_DELAY", 0.001)
    bad, good = slots.blue.ports
    (tmp_path / f"broken-{bad}").touch()

    def starts(port: int) -> int:
        return (tmp_path / "starts").read_text().split().count(str(port))

    def kill_the_good_one() -> None:
        (backend,) = [one for one in slots.blue.backends if one.target.address.port == good]
        backend.process.kill()

    slots.go_live(slots.blue)
    slots.blue.supervise()
    await slots.blue.until_settled()
    await until("one fails for good", lambda: starts(bad) > crash.TOO_MANY_DEATHS)
    kill_the_good_one()
    await until("the other one is down, too", lambda: not gate.targets)
    lease = await gate.acquire()
    assert (lease.target.address.port, lease.held > 0) == (good, True)

    (tmp_path / f"broken-{good}").touch()
    kill_the_good_one()
    await until("requests are refused", lambda: gate.is_refusing)
    assert starts(good) >= crash.TOO_MANY_DEATHS
    await slots.stop()


async def test_a_release_that_is_not_live_yet_has_not_gone_live_with_the_one_before(
    site: Site, slots: Slots, tmp_path: Path
) -> None:
    slots.go_live(slots.blue)
    assert slots.blue.since is not None
    await slots.blue.assign(Release("b" * 40, tmp_path), site.settings)
    assert slots.blue.since is None
