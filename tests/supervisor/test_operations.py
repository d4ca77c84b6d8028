"""Commands of the supervisor, where no real one is needed."""

import threading
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from blue_green.control.server import Refusal, Selector, SiteRequest
from blue_green.supervisor import operations, reload, settings_file
from blue_green.supervisor.maintenance_command import MaintenanceArguments
from blue_green.supervisor.no_arguments import NoArguments
from blue_green.supervisor.operations import Operations
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.site_commands import PauseArguments
from tests.support import site_parts
from tests.support.settings import MINIMAL


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What never answers, like a file system that hangs; until the end of the test."""
    event = threading.Event()
    yield lambda *_: event.wait()
    event.set()


def operations_of(directory: Path) -> Operations:
    sites = site_parts.make_several(directory, directory, ("blog", "shop"))
    unused = cast("Any", None)
    reload = Reload(directory / "supervisor.toml", sites, unused, unused)
    return Operations(sites, reload, unused)


async def ignore(_: dict[str, Any]) -> None:
    pass


async def test_a_directory_that_hangs_is_in_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hung: Any
) -> None:
    """Nor do many such requests use up the threads that others need."""
    monkeypatch.setattr(operations, "FIND_TIMEOUT", 0.05)
    monkeypatch.setattr(operations, "in_directory", hung)
    restart = operations_of(tmp_path).commands["restart"]
    request = SiteRequest(Selector(directory="/mnt/hangs"), NoArguments())
    for _ in range(operations.FIND_AT_ONCE + 2):
        with pytest.raises(Refusal, match="name the site with --site: blog, shop"):
            await restart.handle(request, ignore)
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


async def test_a_command_for_all_sites_says_so_if_no_site_is_named(tmp_path: Path) -> None:
    maintenance = operations_of(tmp_path).commands["maintenance"]
    request = SiteRequest(Selector(), MaintenanceArguments("on"))
    with pytest.raises(Refusal, match="with --site, or all with --all: blog, shop"):
        await maintenance.handle(request, ignore)


async def test_a_reload_of_a_file_that_hangs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hung: Any
) -> None:
    """Otherwise no reload and no upgrade would be possible any more."""
    monkeypatch.setattr(reload, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(settings_file, "load", hung)
    command = operations_of(tmp_path).commands["reload"]
    for _ in range(reload.MAX_THREADS + 2):
        with pytest.raises(Refusal, match="reading it, or what it names, has taken"):
            await command.handle(NoArguments(), ignore)


async def test_an_upgrade_says_that_a_change_to_one_site_needs_a_restart(tmp_path: Path) -> None:
    """A reload, which it asks for where sites were added, does not help here."""
    file = tmp_path / "supervisor.toml"
    file.write_text(MINIMAL)
    sites = site_parts.make_several(tmp_path, tmp_path, ("blog", "shop"))
    unused = cast("Any", None)
    with pytest.raises(Refusal, match="restart the service"):
        await Reload(file, sites, unused, unused).check_same_sites()


@pytest.mark.parametrize(
    ("name", "arguments", "remembered"),
    [
        ("maintenance", MaintenanceArguments("on", message="Soon."), "Soon."),
        ("pause", PauseArguments(), "paused_until"),
    ],
)
async def test_what_a_restart_must_not_forget_is_written_before_the_answer(
    tmp_path: Path, name: str, arguments: Any, remembered: str
) -> None:
    command = operations_of(tmp_path).commands[name]
    request = SiteRequest(Selector(site="blog"), arguments)
    assert "unsaved" not in await command.handle(request, ignore)
    [file] = tmp_path.rglob("state.toml")
    assert remembered in file.read_text()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("maintenance", MaintenanceArguments("on")),
        ("maintenance", MaintenanceArguments("off")),
        ("pause", PauseArguments()),
        ("resume", NoArguments()),
    ],
)
async def test_a_command_says_so_if_a_restart_would_forget_its_effect(
    tmp_path: Path, name: str, arguments: Any
) -> None:
    sites = site_parts.make_several(tmp_path, tmp_path, ("blog", "shop"))
    directory = sites.get("blog").settings.state_directory  # type: ignore[union-attr]
    (directory / "state.toml.new").mkdir(parents=True)
    unused = cast("Any", None)
    command = Operations(sites, unused, unused).commands[name]
    result = await command.handle(SiteRequest(Selector(site="blog"), arguments), ignore)
    assert result["unsaved"] == f"cannot write {directory}/state.toml: Is a directory"
