"""`trust`: the root of the internal authority, printed or installed."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blue_green import cli as blue_green_cli
from blue_green.certificates import root_file
from blue_green.certificates.internal_ca import InternalCa
from blue_green.certificates.root_file import ROOT, ROOT_KEY
from blue_green.system import files, running_supervisors, trust_store
from blue_green.system.running_supervisors import SupervisorProcess
from tests.support.command import cli
from tests.support.https_server import serving
from tests.waiting import PATIENCE

SETTINGS = '[app]\ncommand = ["x"]\n[proxy.tls]\nacme = "internal"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def authority(file: Path) -> Path:
    """The directory of an authority that has signed something."""
    directory = root_file.directory_in(file.parent / ".blue-green")
    InternalCa(directory).issue("localhost", 0)
    return directory


def test_the_root_is_printed_and_how_to_install_it_beside_it(file: Path, authority: Path) -> None:
    done = cli(file.parent, "trust")
    assert (done.code, done.out) == (0, (authority / ROOT).read_text())
    fingerprint = root_file.read(authority / ROOT).fingerprint
    for line in (
        f"SHA-256: {fingerprint}",
        "On this machine: sudo blue-green trust supervisor.toml --install",
        f"cp root.pem /usr/local/share/ca-certificates/blue-green-{fingerprint[:12]}.crt",
        "certutil -A -t C,, -n",
        "keytool -importcert",
    ):
        assert line in done.err
    assert cli(file.parent.parent, "trust", str(file)).out == done.out


@pytest.mark.usefixtures("authority")
def test_the_large_libraries_of_authorities_are_not_loaded(file: Path) -> None:
    program = f"""
import sys
from blue_green import cli
assert cli.main(["trust", {str(file)!r}]) == 0
print({{"trio", "cryptography", "acme", "josepy", "requests"}} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "set()"


def test_the_key_is_never_printed(file: Path, authority: Path) -> None:
    done = cli(file.parent, "trust")
    key = (authority / ROOT_KEY).read_text().splitlines()[1]
    assert key not in done.out + done.err


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (SETTINGS, "there is no root certificate in "),
        (SETTINGS.replace("internal", "a@b.c"), 'has no acme = "internal" in [proxy.tls]'),
        ("", 'has no acme = "internal" in [proxy.tls]'),
        ("proxy = 1", 'has no acme = "internal" in [proxy.tls]'),
    ],
)
def test_without_a_root_it_says_where_one_comes_from(file: Path, settings: str, why: str) -> None:
    file.write_text(settings)
    for options in ((), ("--install",)):
        done = cli(file.parent, "trust", *options)
        assert (done.code, done.out) == (1, "")
        assert why in done.err


def test_a_damaged_root_is_reported(file: Path, authority: Path) -> None:
    (authority / ROOT).write_text("-----BEGIN CERTIFICATE-----\n\x1b[31m")
    done = cli(file.parent, "trust")
    assert (done.code, done.out) == (1, "")
    assert f"{authority / ROOT} is no root certificate in PEM" in done.err


def test_a_root_that_may_not_be_read_is_reported_with_who_may(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(path: Path, limit: int, **more: Path) -> bytes:
        if path.name == ROOT:
            raise PermissionError(13, "Permission denied", str(path))
        return path.read_bytes()[:limit]

    monkeypatch.setattr(files, "read_bounded", read)
    assert blue_green_cli.main(["trust", str(file)]) == 1
    assert "Permission denied: run this as root, or as the user of the" in capsys.readouterr().err


@pytest.fixture
def service(file: Path, tmp_path: Path) -> Iterator[Path]:
    """A process that looks like a supervisor whose service has set the state directory."""
    state = tmp_path / "var"
    words = [sys.executable, "-c", "input()", "blue-green", "run", str(file)]
    environment = {"STATE_DIRECTORY": str(state)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=environment):
        yield state


def test_the_root_is_found_where_the_running_service_keeps_it(file: Path, service: Path) -> None:
    directory = root_file.directory_in(service)
    InternalCa(directory).issue("localhost", 0)
    assert cli(file.parent, "trust").out == (directory / ROOT).read_text()


@pytest.mark.usefixtures("authority")
def test_without_a_file_here_it_is_that_of_the_running_supervisor(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    running = [SupervisorProcess(0, file)]
    monkeypatch.setattr(running_supervisors, "supervisors", lambda: iter(running))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert blue_green_cli.main(["trust"]) == 0
    assert f"sudo blue-green trust {file} --install" in capsys.readouterr().err
    running.append(SupervisorProcess(0, tmp_path / "other.toml"))
    assert blue_green_cli.main(["trust"]) == 2
    several = f"several supervisors run here, name one: {tmp_path / 'other.toml'}, {file}"
    assert several in capsys.readouterr().err


# --- installation ---------------------------------------------------------------------------


def test_only_root_may_install(
    file: Path,
    authority: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert authority.is_dir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert blue_green_cli.main(["trust", str(file), "--install"]) == 2
    assert "only root can install a certificate" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone may install")
@pytest.mark.parametrize("is_file_named", [True, False])
def test_root_installs_nothing_that_only_another_users_process_leads_to(
    file: Path,
    service: Path,
    is_file_named: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(trust_store, "of_this_machine", lambda: pytest.fail("it is installed"))
    InternalCa(root_file.directory_in(service)).issue("localhost", 0)
    os.chown(service, 65534, 65534)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.chdir("/")
    if not is_file_named:
        running = SupervisorProcess(0, file)
        monkeypatch.setattr(running_supervisors, "supervisors", lambda: iter([running]))
        file.write_text(f'{SETTINGS}[state]\ndirectory = "{service}"\n')
    assert blue_green_cli.main(["trust", *[str(file)] * is_file_named, "--install"]) == 2
    said = capsys.readouterr().err
    assert f"users other than root can write {service}: if it is the right one" in said
    assert f"STATE_DIRECTORY={service} blue-green trust FILE --install" in said


def test_a_name_that_would_control_the_terminal_is_escaped(
    file: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "\x1b[31m")
    (authority / ROOT).unlink()
    InternalCa(authority).issue("localhost", 0)
    done = cli(file.parent, "trust")
    assert done.code == 0
    assert r"root certificate of blue-green on \x1b[31m, valid" in done.err
    assert "\x1b" not in done.err


PRIVATE_STORE = """
set -e
mount -t tmpfs none /usr/local/share/ca-certificates
cp -a /etc/ssl "$1/ssl"
mount --bind "$1/ssl" /etc/ssl
touch /etc/ssl/certs/.private
shift
exec "$@"
"""
INSTALL = """
set -e
is_not_trusted() { if is_trusted; then return 1; fi; }
is_trusted() { curl -sS --max-time 10 "https://localhost:$PORT/"; }
trust() { "$PYTHON" -m blue_green trust "$FILE" --install; }
is_not_trusted
trust; echo; is_trusted; echo
trust; echo; is_trusted; echo
eval "$(trust | sed -n 's/^to remove it: sudo //; s/&& sudo/\\&\\&/; /^rm/p')"
is_not_trusted
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")
@pytest.mark.skipif(not shutil.which("update-ca-certificates"), reason="needs Debian's store")
@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_a_site_is_trusted_by_the_machine_once_its_root_is_installed(
    file: Path, authority: Path, tmp_path: Path
) -> None:
    """In a mount namespace with a trust store of its own."""
    with serving(InternalCa(authority).issue("localhost", 0)) as port:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", PRIVATE_STORE, "sh", tmp_path, "sh", "-c", INSTALL],
            env={
                "PATH": os.environ["PATH"],
                "PORT": str(port),
                "PYTHON": sys.executable,
                "FILE": str(file),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=10 * PATIENCE,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    root = root_file.read(authority / ROOT)
    path = f"/usr/local/share/ca-certificates/blue-green-{root.fingerprint[:12]}.crt"
    said = f"ran update-ca-certificates: this machine trusts {root.name}"
    assert f"wrote {path}, and {said}" in done.stdout
    assert f"{path} was there already; {said}" in done.stdout
    assert done.stdout.count("\nok\n") == 2
    assert not Path(path).exists()
