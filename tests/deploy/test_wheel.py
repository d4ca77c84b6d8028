"""The wheel, installed somewhere else, is all that a server needs."""

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from blue_green import __version__
from tests.support import wheel
from tests.support.http_client import HttpClient
from tests.support.repository import Repository
from tests.support.site import free_ports
from tests.waiting import PATIENCE, until

TOP = Path(__file__).parents[2]
NEWER = "9.9.9"
APP = """\
import http.server, os
address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.build(TOP, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_the_documents_the_units_and_the_page_and_no_tests(built: Path) -> None:
    names = set(zipfile.ZipFile(built).namelist())
    shipped = [*(TOP / "docs").rglob("*.md"), *(TOP / "deploy").iterdir()]
    assert {f"blue_green/{path.relative_to(TOP)}" for path in shipped} <= names
    assert {"blue_green/admin/page.html", "blue_green/py.typed"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"blue_green", f"blue_green-{__version__}.dist-info"}
    modules = {str(path.relative_to(TOP / "src")) for path in (TOP / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_metadata_says_what_it_is_and_what_it_needs(built: Path) -> None:
    archive = zipfile.ZipFile(built)
    [name] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
    found = Parser().parsestr(archive.read(name).decode())
    assert (found["Name"], found["Version"]) == ("blue-green", __version__)
    assert (found["License-Expression"], found["Requires-Python"]) == ("MIT", ">=3.11")
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload() == (TOP / "README.md").read_text()
    assert "Operating System :: POSIX :: Linux" in found.get_all("Classifier", [])


@pytest.mark.long
def test_the_sdist_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    archive = wheel.build(TOP, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    again = wheel.build(source, "wheel", tmp_path / "again")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(built).namelist()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    repository = Repository(tmp_path / "srv" / "app")
    (repository.path / "serve.py").write_text(APP)
    (repository.path / "index.html").write_text("hello")
    (repository.path / "Procfile").write_text("web: python3 serve.py")
    repository.commit()
    return repository.path


class Installed:
    """The installed command, run as systemd runs it: by its path, with hardly an environment."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.directory = directory

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [self.program, *words],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                [self.program, "run", "supervisor.toml"],
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stderr=output,
            )


@pytest.fixture
def installed(built: Path, tmp_path: Path) -> Iterator[Installed]:
    programs = wheel.environment(tmp_path / "opt")
    wheel.install(built, programs)
    (tmp_path / "etc").mkdir()
    yield Installed(programs / "blue-green", tmp_path / "etc")


@pytest.mark.long
async def test_the_installed_wheel_serves_an_app_and_upgrades_itself(
    installed: Installed, checkout: Path, tmp_path: Path
) -> None:
    assert installed.run("--version") == f"blue-green {__version__}\n"
    installed.run("init", "--yes", str(checkout))
    file = installed.directory / "supervisor.toml"
    [page] = re.findall(r"(?m)^# (/.*settings\.md)$", file.read_text())
    assert Path(page).is_relative_to(tmp_path / "opt")
    assert Path(page).is_file()
    [port] = free_ports(1)
    file.write_text(re.sub(r"listen = .*", f'listen = ["127.0.0.1:{port}"]', file.read_text()))
    assert ", 0 failed" in installed.run("check", "--start", "supervisor.toml")
    log = tmp_path / "log"
    process = installed.start(log)
    try:
        await until("it listens", lambda: "serving" in log.read_text())
        async with HttpClient(port) as http:
            answer = await http.get("/")
            assert (answer.status, answer.body) == (200, b"hello")
        newer = wheel.build(wheel.newer_source(tmp_path, NEWER), "wheel", tmp_path / "newer-wheel")
        wheel.install(newer, installed.program.parent)
        assert NEWER in installed.run("upgrade")
        assert NEWER in installed.run("status", "--json")
        async with HttpClient(port) as http:
            assert (await http.get("/")).body == b"hello"
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0, log.read_text()


@pytest.mark.long
def test_the_installed_command_makes_its_unit(installed: Installed, checkout: Path) -> None:
    installed.run("init", "--yes", str(checkout))
    text = installed.run("unit")
    file = installed.directory / "supervisor.toml"
    assert f"\nExecStart={installed.program} run {file}\n" in text
    shipped = installed.run("unit", "--files").splitlines()
    assert all(Path(path).is_file() for path in shipped)
    assert len(shipped) == len(list((TOP / "deploy").iterdir()))


@pytest.mark.long
@pytest.mark.parametrize(
    ("installer", "words"),
    [("pipx", ("install",)), ("uv", ("tool", "install", "--python", "3.11"))],
)
def test_installers_of_applications_put_the_command_where_they_are_told(
    built: Path, tmp_path: Path, installer: str, words: tuple[str, ...]
) -> None:
    if shutil.which(installer) is None:
        pytest.skip(f"needs {installer}")
    places = {
        "PIPX_HOME": "opt", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man",
        "UV_TOOL_DIR": "opt", "UV_TOOL_BIN_DIR": "bin",
    }  # fmt: skip
    env = {name: str(tmp_path / place) for name, place in places.items()}
    command = [installer, *words, str(built)]
    subprocess.run(command, env={**os.environ, **env}, check=True, timeout=300)
    found = Installed(tmp_path / "bin" / "blue-green", tmp_path)
    assert found.run("--version") == f"blue-green {__version__}\n"
    assert str(tmp_path / "opt") in found.run("unit", "--files")
