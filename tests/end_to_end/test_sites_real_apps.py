"""Datasette, Django and a static site behind one address, as people run them."""

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, closing

import pytest

from tests.support.http_client import Answer
from tests.support.several_sites import HostedSite, SeveralSites
from tests.support.site_load import SiteLoad

SWAP_SECONDS = 60.0
START_TIMEOUT = {"start_timeout": "40s", "timeout": "10s"}
"""Such apps take seconds to import on a busy machine."""

DJANGO = """\
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of the test")


def home(request):
    return HttpResponse(TEXT)


TEXT = Path("text.txt").read_text()
urlpatterns = [path("", home)]
application = get_wsgi_application()
"""


def add_datasette(sites: SeveralSites) -> SiteLoad:
    """On a port that the supervisor finds; one copy at a time, because of SQLite."""
    command = [sys.executable, "-m", "datasette", "serve", "data.db", "--port", "{port}"]
    site = sites.add(
        "datasette",
        hosts=["data.example.com"],
        app={"command": [*command, "--metadata", "metadata.json"], "stop_timeout": "10s"},
        release={"link": ["data.db"]},
        health={"path": "/-/versions.json", **START_TIMEOUT},
        swap={"strategy": "exclusive"},
        hold={"timeout": "60s"},
    )
    with closing(sqlite3.connect(site.checkout / "data.db")) as data, data:
        data.execute("create table rows (id integer primary key)")
    return SiteLoad(
        "datasette", sites.port, "data.example.com", "/-/metadata.json", text_of=title_of
    )


def title_of(answer: Answer) -> str:
    title: str = answer.json()["title"]
    return title


def add_django(sites: SeveralSites) -> SiteLoad:
    """Under gunicorn, on a Unix socket."""
    command = [sys.executable, "-m", "gunicorn", "web:application", "--bind", "unix:{socket}"]
    sites.add(
        "django",
        hosts=["www.example.com"],
        app={"command": [*command, "--workers", "2"], "stop_timeout": "10s"},
        health={"path": "/", **START_TIMEOUT},
    )
    return SiteLoad("django", sites.port, "www.example.com", "/", text_of=text_of)


def add_static(sites: SeveralSites) -> SiteLoad:
    """Files, below a path of Django's host, on a port that the supervisor finds."""
    command = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"]
    sites.add(
        "static",
        hosts=["www.example.com"],
        paths=["/static"],
        strip_path=True,
        app={"command": command},
        health={"path": "/text.txt", **START_TIMEOUT},
    )
    path = "/static/text.txt"
    return SiteLoad("static", sites.port, "www.example.com", path, text_of=text_of)


def text_of(answer: Answer) -> str:
    return answer.body.decode()


def commit(site: HostedSite, text: str) -> str:
    title = json.dumps({"title": f"{site.name} {text}"})
    files = {"metadata.json": title, "web.py": DJANGO, ".gitignore": "data.db\n"}
    return site.commit(text, files)


@pytest.mark.long
async def test_each_of_three_real_apps_is_deployed_twice_under_load(
    make_sites: Callable[..., SeveralSites],
) -> None:
    sites = make_sites()
    loads = [add(sites) for add in (add_datasette, add_django, add_static)]
    for site in sites.sites.values():
        del site.settings["app"]["ports"]
        sites.change(site.name)
        commit(site, "one")
    async with sites.running(), AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load.going_on())
        for text in ("two", "three"):
            revisions = {name: commit(site, text) for name, site in sites.sites.items()}
            for name, revision in revisions.items():
                status = await sites.until_live(name, revision, SWAP_SECONDS)
                receipt = status["last_swap"]
                assert (receipt["outcome"], receipt["cut"], receipt["failed"]) == ("promoted", 0, 0)
            for load in loads:
                await load.until_text(f"{load.site} {text}")
    for load in loads:
        assert load.failures == []
        texts = [f"{load.site} {text}" for text in ("one", "two", "three")]
        assert list(dict.fromkeys(load.texts)) == texts
