"""`blue-green check`: what it finds, and that it leaves nothing behind."""

import errno
import json
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blue_green.preflight.checks import machine, systemd_unit
from blue_green.system import users
from tests.support.check_context import CheckedSite, only, troubles
from tests.support.command import cli
from tests.support.site import RealSite, free_ports

# --- without a start ------------------------------------------------------------------------


def test_a_good_setup_passes_and_nothing_is_written(subject: CheckedSite) -> None:
    assert troubles(subject.check()) == []
    assert not subject.state.exists()


def test_a_taken_port_is_reported_with_its_holder(subject: CheckedSite) -> None:
    with socket.create_server(("127.0.0.1", subject.green)):
        found = only(subject.check())
    assert (found.verdict, found.about) == ("failed", "[app] ports")
    assert f"{subject.green} is taken: pid {os.getpid()}" in found.text


def test_a_database_that_does_not_exist_yet_is_not_warned_about(subject: CheckedSite) -> None:
    """As `init` links them."""
    found = subject.check(release={"link": ["db.sqlite3", "var/data.db"]})
    assert troubles(found) == []
    [one, other] = [one for one in found if one.about == "[release] link"]
    assert "db.sqlite3 does not exist yet" in one.text
    assert "var/data.db does not exist yet" in other.text


def test_a_taken_address_is_reported_with_its_holder(subject: CheckedSite) -> None:
    with socket.create_server(("127.0.0.1", subject.port)):
        found = only(subject.check())
    assert (found.verdict, found.about) == ("failed", "[proxy] listen")
    assert f"pid {os.getpid()}" in found.text


@pytest.mark.parametrize(
    ("sections", "verdict", "text", "advice"),
    [
        ({"app": {"user": "nobody-at-all"}}, "failed", "there is no user", ""),
        ({"git": {"checkout": "nowhere"}}, "failed", "No such file or directory", ""),
        (
            {"release": {"link": ["data"]}},
            "warned",
            "data does not exist yet",
            'write "data/"',
        ),
        (
            {"release": {"link": ["text.txt"]}},
            "failed",
            "git tracks text.txt",
            "git rm -r --cached",
        ),
        ({"app": {"command": ["no-such-program"]}}, "failed", "in $PATH", "install it"),
        ({"app": {"command": ["./app.py"]}}, "failed", "cannot run", "make it executable"),
        ({"app": {"command": ["bin/app"]}}, "failed", "no release has", "set build"),
        ({"app": {"command": ["/no/such/program"]}}, "failed", "does not exist", ""),
        ({"release": {"build": ["./build"]}}, "failed", "no release has", "add it to link"),
        ({"git": {"pull_every": "5m"}}, "failed", "--set-upstream-to origin/main", ""),
        ({"git": {"pull_every": "5m", "branch": "b"}}, "failed", "git checkout b", ""),
        ({"proxy": {"error_pages": "nowhere"}}, "failed", "cannot be read", ""),
        ({"notify": {"command": ["./nowhere"]}}, "failed", "nowhere does not exist", ""),
        ({"notify": {"command": ["no-such-program"]}}, "failed", "no program no-such-program", ""),
        ({"proxy": {"tls": {"certificate": "no.pem", "key": "no.key"}}}, "failed", "no.pem", ""),
        ({"proxy": {"max_connections": 10**9}}, "warned", "open-file limit", "LimitNOFILE=2000"),
        ({"control": {"socket": "s" * 120}}, "failed", "bytes long", "use a shorter path"),
    ],
)
def test_each_problem_is_reported_with_a_remedy(
    subject: CheckedSite, sections: dict[str, Any], verdict: str, text: str, advice: str
) -> None:
    found = only(subject.check(**sections))
    assert found.verdict == verdict
    assert text in found.text
    assert advice in found.advice


def test_a_push_hook_needs_a_secret_and_an_upstream(subject: CheckedSite) -> None:
    hook: dict[str, Any] = {
        "admin": {"listen": [f"127.0.0.1:{free_ports(1)[0]}"]},
        "webhook": {"secret_file": "secret"},
    }
    missing, upstream = troubles(subject.check(**hook))
    assert (missing.about, "cannot be read" in missing.text) == ("[webhook] secret_file", True)
    assert "--set-upstream-to origin/main" in upstream.text
    file = subject.directory / "secret"
    file.write_text("a secret of sufficient length")
    file.chmod(0o644)
    readable, _ = troubles(subject.check(**hook))
    assert (readable.verdict, readable.advice) == ("warned", f"chmod o-r {file}")
    file.chmod(0o640)
    assert [found.about for found in troubles(subject.check(**hook))] == ["[git] branch"]


def test_a_command_that_names_one_port_would_start_both_slots_there(subject: CheckedSite) -> None:
    found = only(subject.check(app={"command": ["true", f"--listen=:{subject.blue}"]}))
    assert found.advice == "write {port} instead"


def test_files_with_variables_are_read_and_none_of_their_content_is_shown(
    subject: CheckedSite,
) -> None:
    file = subject.directory / "secrets.env"
    file.write_text("PASSWORD=hunter2\nhunter2")
    file.chmod(0o600)
    found = only(subject.check(app={"env_file": ["secrets.env"]}))
    assert (found.verdict, found.about) == ("failed", "[app] env_file")
    assert found.text == f"{file}, line 2: is not NAME=value"
    file.write_text("PASSWORD=hunter2")
    assert troubles(subject.check()) == []
    file.chmod(0o644)
    assert only(subject.check()).advice == f"chmod o-r {file}"


def test_commands_are_looked_up_in_the_directory_of_the_app(subject: CheckedSite) -> None:
    subject.check(app={"command": ["bin/run"], "directory": "api"})
    assert [one.text for one in troubles(subject.check())] == [
        "HEAD has no directory api",
        "no release has api/bin/run: it is neither in git nor in link, and there is no build",
    ]
    program = subject.checkout.path / "api" / "bin" / "run"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    subject.checkout.commit()
    assert troubles(subject.check()) == []
    assert troubles(subject.check(app={"command": ["{release}/api/bin/run"]})) == []


def test_files_that_the_build_will_create_pass(subject: CheckedSite) -> None:
    made = {"command": [".venv/bin/python", "app.py"]}
    assert troubles(subject.check(app=made, release={"build": ["true"]})) == []


def test_linked_paths_count_as_part_of_every_release(subject: CheckedSite) -> None:
    (subject.checkout.path / ".git/info/exclude").write_text("tools\n")
    (subject.checkout.path / "tools").mkdir()
    (subject.checkout.path / "tools/python").symlink_to(sys.executable)
    linked = {"link": ["tools"]}
    assert troubles(subject.check(app={"command": ["tools/python"]}, release=linked)) == []


def test_uncommitted_changes_are_reported_as_not_deployed(subject: CheckedSite) -> None:
    (subject.checkout.path / "text.txt").write_text("changed")
    found = only(subject.check())
    assert (found.verdict, found.advice) == ("warned", "git commit, or git stash")


def test_the_remote_is_queried_and_nothing_is_fetched(subject: CheckedSite) -> None:
    upstream, ours = subject.checkout, subject.directory / "clone"
    clone = upstream.clone(ours)
    upstream.commit(text="newer")
    pulled = {"checkout": "clone", "pull_every": "5m"}
    assert troubles(subject.check(git=pulled)) == []
    assert clone.git("rev-parse", "origin/main") == clone.git("rev-parse", "HEAD")
    clone.git("remote", "set-url", "origin", str(subject.directory / "gone"))
    found = only(subject.check())
    assert "cannot reach main of origin" in found.text


def test_two_releases_do_not_share_an_old_sqlite(subject: CheckedSite) -> None:
    (subject.checkout.path / "data").mkdir()
    (subject.checkout.path / "data/blog.sqlite3").touch()
    found = troubles(subject.check())
    is_old = not machine.is_safe(sqlite3.sqlite_version_info)
    assert [one.verdict for one in found] == ["warned"] * is_old
    assert all('strategy = "exclusive"' in one.advice for one in found)
    found = subject.check(swap={"strategy": "exclusive"}, hold={"timeout": "60s"})
    assert troubles(found) == []


def test_a_hold_timeout_shorter_than_a_start_is_reported(subject: CheckedSite) -> None:
    [found] = troubles(subject.check(swap={"strategy": "exclusive"}))
    assert (found.verdict, found.about) == ("warned", "[hold] timeout")
    assert "requests get 503 after 30 s, but a restart may take 60 s" in found.text


def test_the_first_visitor_of_a_site_that_sleeps_may_have_to_wait_too_long(
    subject: CheckedSite,
) -> None:
    [found] = troubles(subject.check(idle={"after": "30m"}))
    assert (found.verdict, found.about) == ("warned", "[hold] timeout")
    assert "asleep gets 503 after 30 s, but a start may take 60 s" in found.text
    assert troubles(subject.check(idle={"after": "30m"}, hold={"timeout": "60s"})) == []


def test_a_public_admin_address_is_a_warning(subject: CheckedSite) -> None:
    [port] = free_ports(1)
    found = only(subject.check(admin={"listen": [f"0.0.0.0:{port}"]}))
    assert (found.verdict, found.about) == ("warned", "[admin] listen")


@pytest.mark.parametrize(
    ("mode", "way", "may"),
    [(0o604, 0o711, True), (0o640, 0o711, False), (0o604, 0o710, False), (0o604, 0o755, True)],
)
def test_all_modes_on_the_path_decide_what_others_may_do(mode: int, way: int, may: bool) -> None:
    user = users.User(12345, 12345, (), "user", "/", "/bin/sh")
    file = Path(tempfile.mkdtemp()) / "way" / "file"
    file.parent.parent.chmod(0o755)
    file.parent.mkdir()
    file.touch()
    file.chmod(mode)
    file.parent.chmod(way)
    try:
        assert users.may(user, file, os.R_OK) == may
    finally:
        shutil.rmtree(file.parent.parent)


# --- the command, and a supervisor that runs ------------------------------------------------


async def test_a_running_supervisor_is_detected_and_not_disturbed(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit()
    async with site.running():
        before = await site.status()
        done = await site.run("check", "--start", "--json", str(site.config_file))
        assert done.code == 0, done.out
        report = json.loads(done.out)
        texts = [one["text"] for one in report["findings"]]
        assert f"127.0.0.1:{site.port} is in use by this supervisor" in texts
        assert f"{site.blue} is in use by this supervisor" in texts
        assert f"{site.green} is free" in texts
        assert any("answered GET /healthz" in text for text in texts), texts
        after = await site.status()
        for status in (before, after):
            del status["last_swap"]
        assert before == after
        site.configure(swap={"strategy": "exclusive"})
        done = await site.run("check", "--start", str(site.config_file))
        assert "only one copy may run" in done.out


async def test_a_running_app_that_others_can_reach_is_a_warning(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit(host="0.0.0.0")
    async with site.running():
        done = await site.run("check", str(site.config_file))
    assert f"warned  [app] command: the app listens on 0.0.0.0:{site.blue}: anyone" in done.out


def test_all_wrong_settings_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text("[app]\ncommand = 7\nports = [1, 1]\n")
    done = cli(tmp_path, "check", "supervisor.toml", "--json")
    report = json.loads(done.out)
    assert (done.code, report["verdict"], len(report["findings"])) == (2, "failed", 2)
    done = cli(tmp_path, "check", "supervisor.toml")
    assert (done.code, done.out.count("failed  settings:")) == (2, 2)


@pytest.mark.parametrize(("may", "verdict"), [(True, "passed"), (False, "failed")])
def test_a_port_that_only_the_service_may_use_passes(
    subject: CheckedSite, monkeypatch: pytest.MonkeyPatch, may: bool, verdict: str
) -> None:
    """The check runs as the app's user, without the capability of the service."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    monkeypatch.setattr(systemd_unit, "may_bind_low_ports", lambda _: may)
    [found] = [one for one in subject.check() if one.about == "[proxy] listen"]
    assert found.verdict == verdict
