"""Apps in Python: their environment, their server, and what Django's settings name."""

import pytest

from blue_green.preflight.init.checkout import Checkout
from blue_green.preflight.init.django_settings import Named, named
from tests.support.init_checkout import Fill, init

DJANGO = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'blog.settings')"
FLASK = {"app.py": "app = Flask(__name__)"}

DJANGO_SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
MEDIA_ROOT = BASE_DIR / "media"
"""


def test_djangos_future_files_are_linked_before_they_exist(fill: Fill) -> None:
    checkout = fill({"manage.py": DJANGO, "blog/settings.py": DJANGO_SETTINGS, ".env.example": ""})
    _, site, _ = init(checkout)
    assert site.release.link == (".env", "db.sqlite3", "media/")
    assert site.swap.strategy == "exclusive"


@pytest.mark.parametrize(
    ("text", "databases", "uploads"),
    [
        (
            "import os\nBASE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
            "DATABASES = {'default': {'ENGINE': 'x.sqlite3', 'NAME': os.path.join(BASE, 'a.db')}}",
            ["a.db"],
            [],
        ),
        ("MEDIA_ROOT = os.environ.get('MEDIA', 'var/media')", [], ["var/media"]),
        ("MEDIA_ROOT = config('MEDIA', default='uploads/')", [], ["uploads"]),
        ("MEDIA_ROOT = '/srv/media'", [], []),
        ("MEDIA_ROOT = BASE_DIR", [], []),
        ("DATABASES = {'default': dj_database_url.config(default='sqlite:///b.db')}", ["b.db"], []),
        (
            "from pathlib import Path\nHERE = Path(__file__).parents[1]\nif DEBUG:\n"
            "  DATABASES = {'a': {'ENGINE': 'sqlite3', 'NAME': str(HERE / 'data' / 'c.db')}}\n"
            "else:\n  DATABASES = {'a': {'ENGINE': 'postgresql', 'NAME': 'shop'}}",
            ["data/c.db"],
            [],
        ),
        ("DATABASES = {'a': {'ENGINE': 'sqlite3', 'NAME': ':memory:'}}", [], []),
        ("ROOT = f'{BASE}'\nMEDIA_ROOT = ROOT + '/m'\nDATABASES = env.db()", [], []),
        ("def (", [], []),
    ],
)
def test_djangos_settings_are_read_where_they_are_literals(
    fill: Fill, text: str, databases: list[str], uploads: list[str]
) -> None:
    checkout = Checkout(fill({"blog/settings.py": text}), frozenset())
    assert named(checkout, "blog.settings") == Named(databases, uploads)


def test_djangos_settings_may_import_others(fill: Fill) -> None:
    base = DJANGO_SETTINGS.replace(".parent.parent", ".parent.parent.parent")
    files = {
        "blog/settings/__init__.py": "",
        "blog/settings/base.py": base,
        "blog/settings/production.py": "from .base import *\nMEDIA_ROOT = BASE_DIR / 'files'",
        "blog/settings/loop.py": "from blog.settings.loop import *\nMEDIA_ROOT = 'x'",
    }
    checkout = Checkout(fill(files), frozenset())
    production = named(checkout, "blog.settings.production")
    assert production == Named(["db.sqlite3"], ["media", "files"])
    assert named(checkout, "blog.settings.loop").uploads == ["x"]


STATIC = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "static/"
"""


def test_djangos_static_files_are_collected_in_the_build_and_served(fill: Fill) -> None:
    text = STATIC + 'STATIC_ROOT = BASE_DIR / "staticfiles"'
    project = {"manage.py": DJANGO, "blog/settings.py": text, "requirements.txt": "django"}
    _, site, _ = init(fill(project))
    assert site.files.directories == {"/static": "staticfiles"}
    assert site.release.build is not None
    assert site.release.build[-1].endswith("&& .venv/bin/python manage.py collectstatic --noinput")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "STATIC_ROOT = '/var/www/static'",
        "STATIC_ROOT = BASE_DIR / 's'\nSTATIC_URL = 'https://cdn.example.com/s/'",
    ],
)
def test_static_files_that_are_elsewhere_are_left_alone(fill: Fill, line: str) -> None:
    written, site, _ = init(fill({"manage.py": DJANGO, "blog/settings.py": STATIC + line}))
    assert site.files.directories == {}
    assert any("STATIC_ROOT" in advice for advice in written.app.advice)


def test_the_numbers_of_gunicorn_come_with_their_reasons(fill: Fill) -> None:
    _, site, text = init(fill({**FLASK, "requirements.txt": "flask\ngunicorn"}))
    assert site.app.command[-5:] == ("--workers", "3", "--threads", "4", "app:app")
    reasons = text.replace("\n# ", " ")
    assert "3 workers with 4 threads each: 12 requests at once. init found 2 CPUs" in reasons


@pytest.mark.parametrize("line", ["workers = 8", "import os\nworkers = os.cpu_count()"])
def test_workers_in_a_file_of_gunicorn_are_respected(fill: Fill, line: str) -> None:
    app = {**FLASK, "requirements.txt": "flask\ngunicorn", "gunicorn.conf.py": line}
    _, site, text = init(fill(app))
    assert site.app.command[-3:] == ("--bind", "127.0.0.1:{port}", "app:app")
    assert "requests at once" not in text


def test_a_server_that_is_not_required_is_installed_all_the_same(fill: Fill) -> None:
    written, site, _ = init(fill({**FLASK, "requirements.txt": "flask"}))
    assert site.release.build is not None
    assert site.release.build[-1].endswith("&& .venv/bin/pip install -q gunicorn")
    assert any("gunicorn is not among the requirements" in line for line in written.app.advice)


UV = "uv pip install -q --python .venv"
NEW = "uv venv -q --allow-existing .venv"


@pytest.mark.parametrize(
    ("files", "build"),
    [
        (
            {"uv.lock": "", "pyproject.toml": '[project]\nname = "gunicorn"'},
            "uv sync --frozen --no-dev",
        ),
        ({"requirements.txt": "gunicorn"}, f"sh -c {NEW} && {UV} -r requirements.txt"),
        (
            {"pyproject.toml": '[project]\ndependencies = ["gunicorn"]'},
            f"sh -c {NEW} && {UV} -r pyproject.toml",
        ),
        (
            {"pyproject.toml": '[project]\ndependencies = ["gunicorn"]\n[build-system]'},
            f"sh -c {NEW} && {UV} .",
        ),
    ],
)
def test_uv_makes_the_environment_of_each_release(
    fill: Fill, uv: None, files: dict[str, str], build: str
) -> None:
    _, site, _ = init(fill({**FLASK, **files}, {"venv/bin/python": ""}))
    assert site.release.build is not None
    assert " ".join(site.release.build) == build
    assert site.app.command[0] == ".venv/bin/python"
    assert site.release.link == ()


def test_an_environment_without_requirements_is_linked_also_where_uv_is(
    fill: Fill, uv: None
) -> None:
    tools = {"pyproject.toml": "[tool.ruff]", **FLASK}
    _, site, _ = init(fill(tools, {"venv/bin/python": ""}))
    assert (site.release.build, site.release.link) == (None, ("venv",))


def test_uv_in_a_home_directory_is_reported(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "blue_green.preflight.init.python_environment.find_uv", lambda: "/root/.local/bin/uv"
    )
    written, _, _ = init(fill({**FLASK, "requirements.txt": "gunicorn"}))
    assert any("does not find uv in /root/.local/bin" in line for line in written.app.advice)
