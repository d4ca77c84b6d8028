"""A site whose processes are fakes."""

from pathlib import Path

import pytest
import trio

from blue_green.site.site import Site
from tests.support.fake_processes import FakeProcesses, make_site


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeProcesses:
    fakes = FakeProcesses()
    fakes.install(monkeypatch)
    return fakes


@pytest.fixture
async def site(tmp_path: Path, nursery: trio.Nursery, fakes: FakeProcesses) -> Site:
    site = make_site(tmp_path)
    nursery.start_soon(site.slots.run)
    return site
