"""`blue-green check --start`: what a trial start reports, and that it leaves nothing behind."""

import re
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
import trio

from blue_green.config.site_settings import HealthSettings
from blue_green.preflight.checks import probe_advice
from blue_green.site import app_sockets
from tests.support.check_context import LOCAL_ONLY, CheckedSite, left_behind, only, troubles
from tests.support.command import answering
from tests.support.gates import a_target
from tests.waiting import PATIENCE, until


def test_a_trial_start_builds_runs_and_probes_and_leaves_nothing(subject: CheckedSite) -> None:
    found = subject.check(start=True, release={"build": ["touch", "built"]})
    assert troubles(found) == []
    texts = [one.text for one in found]
    assert any("answered GET / on port" in text for text in texts), texts
    assert any("built " in text for text in texts), texts
    assert any("the app uses" in text for text in texts), texts
    assert left_behind(subject) == []
    assert not subject.state.exists()


ON_SOCKETS = """
import os, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer

class OkHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX
    server_bind = TCPServer.server_bind

elsewhere = socket.socket(socket.AF_UNIX)
if len(sys.argv) > 2 and sys.argv[2].startswith("/"):
    elsewhere.bind(sys.argv[2])
    os.chmod(sys.argv[2], 0o777)
    elsewhere.listen()
UnixServer(sys.argv[1], OkHandler).serve_forever()
"""


@pytest.fixture
def on_socket(directory: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedSite:
    """A site whose app listens on a Unix socket."""
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(app_sockets, "RUN", directory)
    site = CheckedSite(directory)
    (site.checkout.path / "app.py").write_text(ON_SOCKETS)
    site.checkout.commit()
    del site.sections["app"]["ports"]
    site.configure(app={"command": [sys.executable, "app.py", "{socket}"]})
    return site


def test_an_app_is_started_and_probed_on_a_unix_socket(
    on_socket: CheckedSite, directory: Path
) -> None:
    found = on_socket.check(start=True)
    assert troubles(found) == []
    texts = [one.text for one in found]
    assert any("answered GET / on unix:" in text for text in texts), texts
    assert f"the app's Unix sockets are in {on_socket.state}/sockets" in texts
    assert not list(directory.glob("blue-green-*"))


def test_a_unix_socket_that_every_user_can_reach_is_reported(
    on_socket: CheckedSite, directory: Path
) -> None:
    command = [sys.executable, "app.py", "{socket}", str(directory / "open.sock")]
    found = only(on_socket.check(start=True, app={"command": command}))
    assert (found.verdict, found.about) == ("warned", "[app] command")
    assert f"listens on unix:{directory}/open.sock: every user of this machine" in found.text
    assert "{socket}" in found.advice


def test_an_app_that_ignores_its_socket_is_told_where_it_listens(
    on_socket: CheckedSite, directory: Path
) -> None:
    command = [sys.executable, "app.py", str(directory / "other.sock"), "--for={socket}"]
    health = {"start_timeout": "5s"}
    [failure] = [
        one
        for one in on_socket.check(start=True, app={"command": command}, health=health)
        if one.verdict == "failed"
    ]
    assert "nothing listens on unix:" in failure.text
    assert f"the app listens on unix:{directory}/other.sock" in failure.text


def test_a_database_written_into_the_release_is_reported_with_the_link_to_add(
    subject: CheckedSite, capfd: pytest.CaptureFixture[str]
) -> None:
    app = (subject.checkout.path / "app.py").read_text()
    makes = "import sqlite3; d = sqlite3.connect('notes.db'); d.execute('create table t (x)')"
    (subject.checkout.path / "app.py").write_text(f"{makes}\n{app}")
    (subject.checkout.path / ".env").write_text("")
    (subject.checkout.path / ".gitignore").write_text(".env\n")
    subject.checkout.commit()
    found = only(subject.check(start=True, release={"link": [".env"]}))
    assert (found.verdict, found.about) == ("warned", "[release] link")
    assert "the app wrote notes.db into its release" in found.text
    assert found.advice == 'link = [".env", "notes.db"] in [release]'
    assert left_behind(subject) == []
    assert "is kept" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("statuses", "text", "advice"),
    [
        ({"localhost": 200}, "and accepts localhost", 'set host = "localhost" in [health]'),
        ({}, "answered 400: the app most likely refuses the Host", "the site's public name"),
        ({"": 404}, "answered 404", "set a path in [health] that exists"),
        ({"": 301}, "a redirect to https://blog.example.com/", "the site's public name"),
        ({"": 301, "https": 200}, "the app redirects to https", "set https = true in [health]"),
        (
            {"": 400, "localhost": 301, "https localhost": 200},
            "redirects to https, and accepts the Host header localhost",
            'set https = true and host = "localhost"',
        ),
    ],
)
async def test_a_permanent_bad_response_is_explained(
    statuses: dict[str, int], text: str, advice: str
) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        head = (await stream.receive_some()).decode()
        [host] = re.findall(r"(?m)^Host: (.*)\r$", head)
        kinds = [host, ""]
        if "\r\nX-Forwarded-Proto: https\r\n" in head:
            kinds = [f"https {host}", "https", *kinds]
        status = next((statuses[kind] for kind in kinds if kind in statuses), 400)
        where = b"Location: https://blog.example.com/\r\n" if status == 301 else b""
        await stream.send_all(b"HTTP/1.1 %d Hm\r\n%bContent-Length: 0\r\n\r\n" % (status, where))
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        told = await probe_advice.explanation(a_target(port), HealthSettings())
        nursery.cancel_scope.cancel()
    assert told is not None
    assert text in told[0]
    assert advice in told[1]


@pytest.mark.long
def test_a_permanent_bad_response_ends_the_wait_early(subject: CheckedSite) -> None:
    subject.answers(LOCAL_ONLY)
    found = only(subject.check(start=True, health={"start_timeout": "1h"}))
    assert (found.verdict, found.about) == ("failed", "start")
    assert found.advice == 'set host = "localhost" in [health]'
    assert found.output == ("it starts",)
    assert left_behind(subject) == []


@pytest.mark.parametrize("step", ["app", "build"])
def test_a_failed_start_shows_its_last_lines(subject: CheckedSite, step: str) -> None:
    fails = [sys.executable, "-c", "raise SystemExit('it has no database')"]
    sections = {"app": {"command": fails}} if step == "app" else {"release": {"build": fails}}
    found = only(subject.check(start=True, **sections))
    assert "ended with exit status 1" in found.text
    assert found.output == ("it has no database",)
    assert left_behind(subject) == []


ELSEWHERE = """\
import os, socket, time
port = int(os.environ["PORT"])
{listen}
time.sleep(600)
"""
SOCKET = "s = socket.socket(socket.{family}); s.bind({address}); s.listen()"


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("", "the app does not listen"),
        (SOCKET.format(family="AF_INET", address='("127.0.0.1", 4321)'), "127.0.0.1:4321"),
        (SOCKET.format(family="AF_INET6", address='("::1", port)'), r"\[::1\]:\d+"),
        (SOCKET.format(family="AF_UNIX", address='"app.sock"'), r"unix:app\.sock"),
    ],
    ids=["nowhere", "another port", "IPv6 only", "a Unix socket"],
)
def test_an_app_that_listens_elsewhere_is_reported_with_its_address(
    subject: CheckedSite, listen: str, told: str
) -> None:
    (subject.checkout.path / "app.py").write_text(ELSEWHERE.format(listen=listen))
    subject.checkout.commit()
    found = only(subject.check(start=True, health={"start_timeout": "1500ms"}))
    assert re.search(rf": nothing listens on port \d+; .*{told}$", found.text), found.text


def test_an_app_that_listens_beyond_loopback_is_a_warning(subject: CheckedSite) -> None:
    app = (subject.checkout.path / "app.py").read_text()
    (subject.checkout.path / "app.py").write_text(app.replace("127.0.0.1", "0.0.0.0"))
    subject.checkout.commit()
    found = only(subject.check(start=True))
    assert (found.verdict, found.about) == ("warned", "[app] command")
    assert "the app listens on 0.0.0.0:" in found.text


def test_an_app_that_must_not_run_twice_is_not_started_beside_another(subject: CheckedSite) -> None:
    busy = {"event": "error", "error": "it is busy", "usage": False}
    with answering(subject.state / "control.sock", busy):
        swap, hold = {"strategy": "exclusive"}, {"timeout": "60s"}
        found = troubles(subject.check(start=True, swap=swap, hold=hold))
    assert [one.about for one in found] == ["supervisor", "start"]
    assert "cannot find out whether one is running: it is busy" in found[0].text


async def test_an_interrupted_check_leaves_nothing(
    subject: CheckedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = subject.directory / "tmp"
    monkeypatch.setenv("TMPDIR", str(temporary))
    app = ["sh", "-c", "touch started; sleep 60"]
    subject.configure(app={"command": app})
    command = [sys.executable, "-m", "blue_green", "check", "--start", str(subject.file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            await until("the app runs", lambda: list(temporary.glob("*/releases/*/started")))
            process.send_signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(process.wait, PATIENCE) == 130
        finally:
            process.kill()
    assert left_behind(subject) == []
