"""How a program of a release is started."""

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.source import launch
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.source.launch import Launch
from blue_green.source.release import Release
from blue_green.system import command, users
from blue_green.system.cannot_start import CannotStart, MissingDirectory


@pytest.fixture
def release(tmp_path: Path) -> Release:
    path = tmp_path / "release"
    (path / "backend").mkdir(parents=True)
    return Release("a" * 40, path)


async def prepare(release: Release, **app: Any) -> Launch:
    top = release.path.parent
    settings = SiteSettings("blog", top / "supervisor.toml", top / "state", AppSettings(**app))
    us = users.owner_of(top)
    return await launch.prepare(release, settings, owner=us, user=us)


async def test_a_program_starts_in_the_release_or_in_a_directory_of_it(release: Release) -> None:
    assert (await prepare(release)).directory == release.path
    assert (await prepare(release, directory="backend")).directory == release.path / "backend"


async def test_a_directory_that_the_revision_lacks_is_the_fault_of_the_revision(
    release: Release,
) -> None:
    with pytest.raises(StepFailed, match=r"\[app\] directory: aaaaaaa has no directory api") as why:
        await prepare(release, directory="api")
    assert not isinstance(why.value, MachineFault)


async def test_a_directory_must_not_lead_out_of_the_release(release: Release) -> None:
    (release.path / "api").symlink_to("..")
    with pytest.raises(StepFailed, match="api leads out of the release"):
        await prepare(release, directory="api")


async def test_settings_take_precedence_over_files_and_our_own_variables_over_both(
    release: Release,
) -> None:
    file = release.path.parent / ".env"
    file.write_text("A=file\nB=file\nBLUE_GREEN_NAME=file\nBLUE_GREEN_SUPERVISOR=file")
    env = {"A": "settings", "BLUE_GREEN_REVISION": "settings"}
    how = await prepare(release, name="blog", env=env, env_file=(file,))
    assert how.env == {
        "A": "settings",
        "B": "file",
        "BLUE_GREEN_NAME": "blog",
        "BLUE_GREEN_REVISION": release.revision,
        "BLUE_GREEN_SUPERVISOR": str(release.path.parent / "state"),
    }


async def test_files_are_read_anew_for_each_start_and_do_not_show_in_a_repr(
    release: Release,
) -> None:
    file = release.path.parent / ".env"
    for secret in ("hunter2", "hunter3"):
        file.write_text(f"A={secret}")
        how = await prepare(release, env_file=(file,))
        assert how.env["A"] == secret
        assert secret not in repr(how)


async def test_a_missing_file_is_the_fault_of_the_machine(release: Release) -> None:
    with pytest.raises(MachineFault, match="env_file: /nonexistent: cannot be read: No such"):
        await prepare(release, env_file=(Path("/nonexistent"),))


async def test_a_file_system_that_hangs_fails_the_start(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = trio.Event()
    monkeypatch.setattr(launch, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(launch, "_read", lambda *_: trio.from_thread.run(hangs.wait))
    with pytest.raises(MachineFault, match="does not answer"):
        await prepare(release)
    hangs.set()


async def test_git_trusts_the_work_tree_of_another_user_besides_what_the_settings_say(
    release: Release,
) -> None:
    top = release.path.parent
    env = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
    settings = SiteSettings("blog", top / "supervisor.toml", top, AppSettings(env=env))
    us = users.owner_of(top)
    other = attrs.evolve(us, uid=os.geteuid() + 1)
    how = await launch.prepare(release, settings, owner=other, user=us)
    assert how.env["GIT_CONFIG_COUNT"] == "3"
    assert how.env["GIT_CONFIG_KEY_0"] == "a.b"
    assert how.env["GIT_CONFIG_VALUE_1"] == str(release.path)


async def test_a_directory_that_is_gone_when_the_program_starts_is_named(release: Release) -> None:
    how = await prepare(release, directory="backend")
    how.directory.rmdir()
    with pytest.raises(
        MissingDirectory, match=f"cannot start .*true: there is no directory {how.directory}"
    ):
        await command.run(["true"], cwd=how.directory, env={}, user=how.user, timeout=10)
    with pytest.raises(
        CannotStart, match=f"cannot start /no: No such file .* \\(in {release.path}"
    ):
        await command.run(["/no"], cwd=release.path, env={}, user=how.user, timeout=10)
