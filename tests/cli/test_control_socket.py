"""How a command finds the supervisor when no settings file is in the current directory."""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from blue_green.cli.control_socket import socket_of
from blue_green.config.error import ConfigError
from blue_green.control.client import NoSupervisor
from blue_green.system import running_supervisors
from tests.support.command import cli
from tests.support.site import RealSite

NOTHING = argparse.Namespace(socket=None, config=None)
UNIX = "Num RefCount Protocol Flags Type St Inode Path\n"


class Machine:
    """Supervisors as /proc shows them, and their control sockets."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self._directory = directory
        self._namespace(self.proc / "self")

    def runs(self, pid: int, text: str, *, is_ours: bool = True) -> Path:
        """Adds a supervisor with these settings; returns the path of its socket."""
        home, entry = self._directory / str(pid), self.proc / str(pid)
        (entry / "fd").mkdir(parents=True)
        self._namespace(entry)
        home.mkdir()
        (home / "supervisor.toml").write_text(text)
        (entry / "cmdline").write_bytes(b"/bin/python\0/bin/blue-green\0run\0supervisor.toml\0")
        (entry / "cwd").symlink_to(home)
        path = home / "control.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        path.chmod(0o600)
        (entry / "net").mkdir()
        listens = f"0: 00000002 00000000 00010000 0001 01 {pid}7 {path}\n"
        (entry / "net" / "unix").write_text(UNIX + listens)
        if is_ours:
            (entry / "fd" / "3").symlink_to(f"socket:[{pid}7]")
        return path

    def _namespace(self, entry: Path) -> None:
        (entry / "ns").mkdir(parents=True)
        (entry / "ns" / "net").symlink_to("net:[1]")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """With nothing of ours in the environment, and in a directory without settings."""
    (tmp_path / "here").mkdir()
    machine = Machine(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(running_supervisors, "PROC", machine.proc)
    for name in ("BLUE_GREEN_SOCKET", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return machine


def app(checkout: Path) -> str:
    return f'[app]\ncommand = ["x"]\n[git]\ncheckout = "{checkout}"\n'


def test_without_any_supervisor_the_missing_file_is_named(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"supervisor\.toml: cannot be read"):
        socket_of(NOTHING)


def test_the_only_running_supervisor_is_found(machine: Machine) -> None:
    path = machine.runs(5, app(Path("/srv/elsewhere")))
    assert socket_of(NOTHING).path == path


def test_a_supervisor_is_found_while_it_closes_connections(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = machine.runs(5, app(Path("/srv/elsewhere")))
    (machine.proc / "5" / "fd" / "2").symlink_to("socket:[1]")
    readlink = Path.readlink

    def meanwhile_closed(link: Path) -> Path:
        if link.parts[-2:] == ("fd", "2"):
            raise FileNotFoundError
        return readlink(link)

    monkeypatch.setattr(Path, "readlink", meanwhile_closed)
    assert socket_of(NOTHING).path == path


def test_a_settings_file_that_is_named_or_here_is_not_ignored(machine: Machine) -> None:
    machine.runs(5, app(Path("/srv/elsewhere")))
    with pytest.raises(ConfigError, match=r"other\.toml: cannot be read"):
        socket_of(argparse.Namespace(socket=None, config="other.toml"))
    Path("supervisor.toml").write_text(app(Path("here")))
    here = Path.cwd() / ".blue-green" / "control.sock"
    assert socket_of(NOTHING).path == here


def test_of_several_the_one_that_serves_this_directory_is_found(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "srv" / "blog"
    (checkout / "templates").mkdir(parents=True)
    machine.runs(5, app(tmp_path / "srv" / "elsewhere"))
    sites = 'include = ["sites/*.toml"]\n[sites.api.git]\ncheckout = "/srv/api"\n'
    path = machine.runs(6, sites)
    (path.parent / "sites").mkdir()
    (path.parent / "sites" / "blog.toml").write_text(app(checkout))
    (path.parent / "sites" / "broken.toml").write_text("[")
    monkeypatch.chdir(checkout / "templates")
    assert socket_of(NOTHING).path == path


def test_the_file_of_a_supervisor_that_does_not_run_hides_none_that_serves_this_directory(
    machine: Machine,
) -> None:
    Path("supervisor.toml").write_text(app(Path("here")))
    path = machine.runs(5, app(Path.cwd()))
    assert socket_of(NOTHING).path == path


def test_of_several_elsewhere_one_must_be_named(machine: Machine, tmp_path: Path) -> None:
    machine.runs(5, app(Path("/srv/blog")))
    machine.runs(6, app(Path("/srv/shop")))
    with pytest.raises(ConfigError) as caught:
        socket_of(NOTHING)
    assert "several supervisors run here: name one with --config FILE" in str(caught.value)
    for pid in (5, 6):
        assert f"{tmp_path}/{pid}/supervisor.toml, pid {pid}" in str(caught.value)


def test_the_supervisor_of_another_user_is_named_with_what_to_do(machine: Machine) -> None:
    machine.runs(5, app(Path("/srv/blog")), is_ours=False)
    with pytest.raises(NoSupervisor, match="only root and the user of the supervisor may do this"):
        socket_of(NOTHING)


async def test_a_real_supervisor_is_found_from_within_its_checkout(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        inside = site.checkout / "deep" / "inside"
        inside.mkdir(parents=True)
        done = await trio.to_thread.run_sync(cli, inside, "status")
        assert (done.code, "test is serving" in done.out, done.err) == (0, True, "")
