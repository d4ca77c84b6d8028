"""The link to the live release."""

import logging
from pathlib import Path

import pytest
import trio

from blue_green.site import current_link
from blue_green.site.current_link import CurrentLink
from tests.waiting import until


async def test_the_link_leads_to_the_last_release_that_went_live(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    link = CurrentLink(tmp_path / "current")
    link.path.symlink_to("gone")
    (tmp_path / "current.new").symlink_to("left-behind")
    nursery.start_soon(link.run)
    for name in ("one", "two", "one"):
        link.lead_to(tmp_path / name)
        await until("it leads there", lambda name=name: link.path.readlink() == tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["current"]


async def test_a_directory_in_its_place_is_reported_once_and_kept(
    tmp_path: Path,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(current_link, "RETRY_INTERVAL", 0.01)
    caplog.set_level(logging.WARNING)
    link = CurrentLink(tmp_path / "current")
    link.path.mkdir()
    nursery.start_soon(link.run)
    link.lead_to(tmp_path / "one")
    await until("it is reported", lambda: caplog.messages)
    await trio.sleep(0.05)
    assert caplog.messages == [f"cannot change the link {link.path}: Is a directory"]
    link.path.rmdir()
    await until("it leads there", link.path.is_symlink)
