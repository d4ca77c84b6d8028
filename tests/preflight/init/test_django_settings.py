"""A Django project in a fresh clone: its visitors' data survives the next deploy."""

import sqlite3
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.support.app_checkout import git
from tests.support.repository import Repository
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

pytest.importorskip("django", reason="needs Django")

SWAP_SECONDS = 60.0
"""Django takes its time to start, and twice to migrate."""

PROJECT = {
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "blog.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "blog/__init__.py": "",
    "blog/settings.py": """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "blog.urls"
INSTALLED_APPS = ["notes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
MEDIA_ROOT = BASE_DIR / "media"
""",
    "blog/urls.py": """
from pathlib import Path
from django.conf import settings
from django.http import JsonResponse
from django.urls import path
from notes.models import Note

def notes(request):
    if request.method == "POST":
        Note.objects.create(text=request.body.decode())
        (settings.MEDIA_ROOT / "last.txt").write_bytes(request.body)
    return JsonResponse({"version": VERSION, "notes": [note.text for note in Note.objects.all()]})

VERSION = Path("version.txt").read_text()
urlpatterns = [path("", notes)]
""",
    "notes/__init__.py": "",
    "notes/models.py": """
from django.db import models

class Note(models.Model):
    text = models.TextField()
""",
    "notes/migrations/__init__.py": "",
    "notes/migrations/0001_initial.py": """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [migrations.CreateModel("Note", [
        ("id", models.AutoField(primary_key=True)), ("text", models.TextField()),
    ])]
""",
    "version.txt": "1",
    ".gitignore": "__pycache__\nbehaviour.json\n",
}


@pytest.fixture
async def site(make_site: MakeSite, tmp_path: Path) -> RealSite:
    """A fresh clone of the project, with the settings that `init` has written for it."""
    site = make_site()
    origin = Repository(tmp_path / "origin")
    for name, content in PROJECT.items():
        (origin.path / name).parent.mkdir(parents=True, exist_ok=True)
        (origin.path / name).write_text(content)
    origin.commit()
    site.checkout = tmp_path / "clone"
    Repository.clone_of(origin.path, site.checkout)
    return site


async def init(site: RealSite, **release: Any) -> None:
    file = site.directory / "written.toml"
    done = await site.run("init", "--yes", "--file", str(file), str(site.checkout))
    assert done.code == 0, done.err
    written: dict[str, Any] = tomllib.loads(file.read_text())
    for section, key in (("app", "command"), ("release", "migrate")):
        assert written[section][key][0] == "python3"
        written[section][key][0] = sys.executable
    written["app"] |= {"ports": [site.blue, site.green], "stop_timeout": "2s"}
    written["app"]["env"] = {"PYTHONDONTWRITEBYTECODE": "1"}
    written["health"]["interval"] = "200ms"
    written["swap"]["soak"] = 0
    written["proxy"]["listen"] = [f"127.0.0.1:{site.port}"]
    written["state"] = {"directory": str(site.state)}
    written["release"] |= release
    site.config_file.write_text(tomli_w.dumps(written))


def commit(site: RealSite, version: str) -> str:
    (site.checkout / "version.txt").write_text(version)
    git(site.checkout, "commit", "-q", "-a", "-m", version)
    return git(site.checkout, "rev-parse", "HEAD")


async def test_a_linked_database_survives_a_deploy(site: RealSite) -> None:
    await init(site)
    async with site.running():
        assert (await site.post("/", b"precious")).json() == {"version": "1", "notes": ["precious"]}
        await site.until_live(commit(site, "2"), SWAP_SECONDS)
        assert (await site.get("/")).json() == {"version": "2", "notes": ["precious"]}
    assert (site.checkout / "media" / "last.txt").read_text() == "precious"


async def test_without_a_link_the_next_deploy_is_refused_with_a_remedy(site: RealSite) -> None:
    """As for those whose settings are older than this, or were written by hand."""
    await init(site, link=[])
    async with site.running():
        (site.state / "releases" / git(site.checkout, "rev-parse", "HEAD")[:12] / "media").mkdir()
        assert (await site.post("/", b"precious")).json()["notes"] == ["precious"]
        one = git(site.checkout, "rev-parse", "HEAD")
        commit(site, "2")
        await until("it is refused", lambda: "retrying in" in site.log(), SWAP_SECONDS)
        status = await site.status()
        assert (status["live"]["revision"], status["quarantined"]) == (one, {})
        reason = status["last_swap"]["reason"]
        assert "db.sqlite3 (and other files: media/last.txt)" in reason, reason
        assert (await site.get("/")).json() == {"version": "1", "notes": ["precious"]}
    with closing(sqlite3.connect(site.state / "releases" / one[:12] / "db.sqlite3")) as data:
        assert data.execute("select text from notes_note").fetchall() == [("precious",)]
