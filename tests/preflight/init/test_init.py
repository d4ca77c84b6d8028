"""`blue-green init`: how it recognises an app, and that the settings it writes work."""

import json
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from blue_green.config.settings import Settings
from blue_green.preflight.init.destination import CannotWrite
from blue_green.preflight.init.write import write
from blue_green.supervisor import settings_file
from tests.support.app_checkout import git
from tests.support.command import cli
from tests.support.init_checkout import Fill, put
from tests.support.site import RealSite

ASGI_APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""
NODE_APP = """\
const answer = (_, response) => response.end("hello");
require("http").createServer(answer).listen(process.env.PORT, "127.0.0.1");
"""
DJANGO = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'blog.settings')"

NEEDS_NODE = pytest.mark.skipif(not shutil.which("node"), reason="needs node")
GUNICORN = "-m gunicorn --bind 127.0.0.1:{port} --workers 3 --threads 4"


def settings_for(checkout: Path, answer: str = "") -> tuple[str, Settings]:
    """What it was taken for, and the settings that were written."""
    file = checkout / "supervisor.toml"
    app = write(file, checkout, lambda _: answer).app
    return app.kind, settings_file.load(file)


@pytest.mark.parametrize(
    ("tracked", "untracked", "kind", "command"),
    [
        (
            {"manage.py": DJANGO, "requirements.txt": "Django\ngunicorn>=20"},
            {},
            "Django",
            f".venv/bin/python {GUNICORN} blog.wsgi:application",
        ),
        (
            {"manage.py": DJANGO},
            {".venv/bin/python": ""},
            "Django",
            ".venv/bin/python manage.py runserver --noreload 127.0.0.1:{port}",
        ),
        (
            {"metadata.json": "{}", "requirements.txt": "datasette"},
            {"data.db": ""},
            "Datasette",
            ".venv/bin/python -m datasette serve data.db --port {port} --metadata metadata.json",
        ),
        (
            {"main.py": "import fastapi\nsite = fastapi.FastAPI()"},
            {},
            "ASGI",
            "python3 -m uvicorn --host 127.0.0.1 --port {port} main:site",
        ),
        (
            {"shop/__init__.py": "app = Flask(__name__)", "requirements.txt": "waitress"},
            {},
            "WSGI",
            ".venv/bin/python -m waitress --listen=127.0.0.1:{port} shop:app",
        ),
        (
            {"shop/wsgi.py": "application = make()"},
            {},
            "WSGI",
            f"python3 {GUNICORN} shop.wsgi:application",
        ),
        (
            {"package.json": '{"scripts": {"start": "node server.js"}}'},
            {},
            "Node",
            "node server.js",
        ),
        ({"package.json": '{"scripts": {"start": "next start"}}'}, {}, "Node", "npm start"),
        (
            {"spin.toml": "", "public/index.html": ""},
            {},
            "Spin",
            "spin up --listen 127.0.0.1:{port} --file spin.toml",
        ),
        (
            {"public/index.html": ""},
            {},
            "static files",
            "",
        ),
    ],
)
def test_an_app_is_recognised_by_its_files(
    fill: Fill, tracked: dict[str, str], untracked: dict[str, str], kind: str, command: str
) -> None:
    found, settings = settings_for(fill(tracked, untracked))
    assert (found, " ".join(settings.sites[0].app.command)) == (kind, command)


def test_a_database_that_releases_share_wants_one_writer(fill: Fill) -> None:
    checkout = fill({"manage.py": DJANGO}, {"db.sqlite3": "", ".env": "", "media/photo": ""})
    _, settings = settings_for(checkout)
    assert settings.sites[0].swap.strategy == "exclusive"
    assert set(settings.sites[0].release.link) == {"db.sqlite3", ".env", "media"}
    assert settings.sites[0].release.migrate == ("python3", "manage.py", "migrate", "--noinput")


def test_the_written_file_names_the_page_of_all_settings(fill: Fill) -> None:
    checkout = fill({"spin.toml": ""})
    settings_for(checkout)
    text = (checkout / "supervisor.toml").read_text()
    [place] = [line for line in text.splitlines() if line.endswith("settings.md")]
    assert "## [app]" in Path(place.removeprefix("# ")).read_text()


def test_a_missing_command_comes_with_an_example(fill: Fill) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "./serve {port}"

    checkout = fill({"serve": ""})
    write(checkout / "supervisor.toml", checkout, ask)
    [question] = asked
    assert "./serve --listen 127.0.0.1:{port}\n" in question
    assert "$PORT" in question


@pytest.mark.parametrize(
    ("tracked", "link", "strategy"),
    [
        (
            {"main.py": "app = FastAPI()\nurl = 'sqlite:///./shop.db'"},
            ("shop.db",),
            "exclusive",
        ),
        (
            {"app.py": "app = Flask('a')", "db.py": "sqlite3.connect('data/a.db')"},
            ("data/a.db",),
            "exclusive",
        ),
        (
            {"app.py": "app = Flask('a', instance_relative_config=True)"},
            ("instance/",),
            "overlap",
        ),
        (
            {
                "go.mod": "module shop",
                "main.go": 'package main\nvar db, _ = sql.Open("sqlite3", "./shop.db")',
            },
            ("shop.db",),
            "exclusive",
        ),
        ({"spin.toml": "key_value_stores = ['default']"}, (".spin/",), "overlap"),
        (
            {
                "package.json": '{"scripts": {"start": "node server.js"}}',
                "server.js": "const db = new Database('app.db')",
            },
            ("app.db",),
            "overlap",
        ),
    ],
)
def test_databases_that_a_program_names_are_linked_before_they_exist(
    fill: Fill, tracked: dict[str, str], link: tuple[str, ...], strategy: str
) -> None:
    _, settings = settings_for(fill(tracked))
    assert (settings.sites[0].release.link, settings.sites[0].swap.strategy) == (link, strategy)


def test_a_committed_database_is_not_linked(fill: Fill) -> None:
    _, settings = settings_for(fill({"datasette.yaml": "", "data.db": ""}))
    assert (settings.sites[0].swap.strategy, settings.sites[0].release.link) == ("overlap", ())


def test_an_environment_is_built_in_each_release_or_else_linked(fill: Fill) -> None:
    app = {"main.py": "app = Starlette()", "requirements.txt": "starlette"}
    checkout = fill(app)
    _, settings = settings_for(checkout)
    assert settings.sites[0].release.build is not None
    assert "pip install" in settings.sites[0].release.build[-1]
    (checkout / "supervisor.toml").unlink()
    put(checkout, {"venv/bin/python": ""})
    _, settings = settings_for(checkout)
    assert (settings.sites[0].release.build, settings.sites[0].release.link) == (None, ("venv",))


def test_names_and_pages_that_the_app_declares_are_used(fill: Fill) -> None:
    hosts = 'ALLOWED_HOSTS = ["blog.example.com", "www.example.com"]'
    _, settings = settings_for(fill({"manage.py": DJANGO, "blog/settings.py": hosts}))
    assert settings.sites[0].health.host == "blog.example.com"


@pytest.mark.parametrize(
    ("line", "https"),
    [
        ("SECURE_SSL_REDIRECT = True", True),
        ('    SECURE_SSL_REDIRECT = env.bool("REDIRECT", True)', True),
        ("SECURE_SSL_REDIRECT = False", False),
        ("# SECURE_SSL_REDIRECT = True", False),
    ],
)
def test_django_that_requires_https_is_probed_as_over_https(
    fill: Fill, line: str, https: bool
) -> None:
    _, settings = settings_for(fill({"manage.py": DJANGO, "blog/settings.py": line}))
    assert settings.sites[0].health.https is https


def test_a_health_page_is_used_for_probes(fill: Fill) -> None:
    program = 'app = FastAPI()\n@app.get("/healthz")\ndef health(): ...'
    _, settings = settings_for(fill({"app.py": program}))
    assert settings.sites[0].health.path == "/healthz"


def test_one_of_several_apps_is_chosen(fill: Fill) -> None:
    package = '{"scripts": {"start": "node server.js"}}'
    checkout = fill({"main.py": "app = FastAPI()", "package.json": package})
    kind, _ = settings_for(checkout, "2")
    assert kind == "Node"
    (checkout / "supervisor.toml").unlink()
    kind, _ = settings_for(checkout)
    assert kind == "ASGI", "without an answer the likeliest is taken"
    (checkout / "supervisor.toml").unlink()
    with pytest.raises(CannotWrite, match='"3" is not one of the numbers 1 to 2'):
        settings_for(checkout, "3")


def test_unknown_values_are_left_to_the_user(fill: Fill) -> None:
    checkout = fill({"serve.sh": ""})
    with pytest.raises(CannotWrite, match="no known framework found"):
        settings_for(checkout)
    _, settings = settings_for(checkout, "./serve.sh --port {port} 'a \\ b'")
    assert settings.sites[0].app.command == ("./serve.sh", "--port", "{port}", "a \\ b")


def test_odd_names_and_nonsensical_files_do_no_harm(fill: Fill) -> None:
    odd = {"package.json": "[]", "main.py": "def (", "datasette.yaml": "", "spin.toml.py": ""}
    kind, settings = settings_for(fill(odd, {'a"b\\.db': "", "c d.db": "", "e.db": ""}))
    assert (kind, settings.sites[0].release.link) == ("Datasette", ("e.db",))


def test_a_checkout_without_a_commit_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="run git init, git add and git commit first"):
        settings_for(tmp_path)


def test_init_writes_a_file_that_passes_check_and_overwrites_nothing(fill: Fill) -> None:
    checkout = fill({"index.html": "hello"})
    done = cli(checkout, "init", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "next: blue-green check --start supervisor.toml" in done.out
    checked = cli(checkout, "check", "supervisor.toml")
    assert checked.code == 0, checked.out
    file = checkout / "supervisor.toml"
    file.write_text("mine")
    again = cli(checkout, "init", "--yes")
    assert (again.code, file.read_text()) == (1, "mine")
    assert "use --force to overwrite it" in again.err
    assert cli(checkout, "init", "--yes", "--force").code == 0
    assert settings_file.load(file).sites[0].files.directories == {"/": "."}


def test_an_app_in_a_directory_of_its_repository_has_the_paths_of_both(fill: Fill) -> None:
    project = {
        "api/manage.py": DJANGO,
        "api/requirements.txt": "gunicorn",
        "api/blog/settings.py": "STATIC_ROOT = 'static'\nMEDIA_ROOT = 'media'\n",
        "web/package.json": "{}",
    }
    checkout = fill(project, {"api/.env": ""})
    file = checkout / "supervisor.toml"
    write(file, checkout / "api", lambda _: "")
    [site] = settings_file.load(file).sites
    assert (site.git.checkout, site.app.directory) == (checkout, "api")
    assert site.app.command[0] == ".venv/bin/python"
    assert site.release.link == ("api/.env", "api/media/")
    assert site.files.directories == {"/static": "api/static"}
    assert '# paths = ["api"]' in file.read_text()


def test_two_apps_of_one_repository_become_two_sites(fill: Fill, tmp_path: Path) -> None:
    checkout = fill({"api/main.py": "app = FastAPI()", "web/public/index.html": ""})
    file = tmp_path / "etc" / "supervisor.toml"
    file.parent.mkdir()
    for name in ("api", "web"):
        write(file, checkout / name, lambda _: "", several=True)
    api, web = settings_file.load(file).sites
    assert (api.name, api.app.directory, api.git.checkout) == ("api", "api", checkout)
    assert (web.name, web.app.directory, web.git.checkout) == ("web", "web", checkout)
    assert web.files.directories == {"/": "web/public"}
    with pytest.raises(CannotWrite, match="is already the site web"):
        write(file, checkout / "web", lambda _: "", several=True)


def test_a_directory_without_committed_files_is_reported(fill: Fill) -> None:
    checkout = fill({"index.html": ""}, {"api/main.py": ""})
    with pytest.raises(CannotWrite, match=r"has no files in .*/api: commit the app first"):
        settings_for(checkout / "api")


# --- under the supervisor -------------------------------------------------------------------


def link_environment(checkout: Path) -> None:
    """That of the tests, as an app has it in its checkout."""
    (checkout / ".venv").symlink_to(sys.prefix)


def static_pages(checkout: Path) -> dict[str, str]:
    return {"index.html": "hello"}


def asgi_app(checkout: Path) -> dict[str, str]:
    link_environment(checkout)
    return {"asgi.py": ASGI_APP, ".gitignore": ".venv\nbehaviour.json"}


def node_app(checkout: Path) -> dict[str, str]:
    start = json.dumps({"scripts": {"start": "node server.js"}})
    return {"package.json": start, "server.js": NODE_APP}


def datasette(checkout: Path) -> dict[str, str]:
    link_environment(checkout)
    with closing(sqlite3.connect(checkout / "hello.db")) as data, data:
        data.execute("create table rows (id integer primary key)")
    return {"metadata.json": '{"title": "hello"}', ".gitignore": ".venv\n*.db"}


@pytest.mark.parametrize(
    "app",
    [
        static_pages,
        asgi_app,
        pytest.param(datasette, marks=pytest.mark.long),
        pytest.param(node_app, marks=[pytest.mark.long, NEEDS_NODE]),
    ],
)
async def test_the_written_settings_run(
    make_site: Callable[..., RealSite], app: Callable[[Path], dict[str, str]]
) -> None:
    site = make_site()
    (site.checkout / "app.py").unlink()
    files = app(site.checkout)
    put(site.checkout, files)
    git(site.checkout, "add", "-A")
    git(site.checkout, "commit", "-q", "-m", "an app")
    file = site.directory / "written.toml"
    done = await site.run("init", "--yes", "--file", str(file), str(site.checkout))
    assert done.code == 0, done.err
    written: dict[str, Any] = tomllib.loads(file.read_text())
    if "app" in written:
        written["app"]["ports"] = [site.blue, site.green]
    written["proxy"]["listen"] = [f"127.0.0.1:{site.port}"]
    written["state"] = {"directory": str(site.state)}
    site.config_file.write_text(tomli_w.dumps(written))
    async with site.running():
        answer = await site.get("/")
        assert answer.status == 200
        assert b"hello" in answer.body
