"""Files that real programs make: Django's collectstatic, and Hugo."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.app_checkout import git
from tests.support.site import RealSite
from tests.support.static_site import StaticSite, visited

pytestmark = pytest.mark.long

MakeSite = Callable[..., RealSite]

SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "shop"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
"""
URLS = """
from django.shortcuts import render
from django.urls import path
urlpatterns = [path("", lambda request: render(request, "page.html"))]
"""
MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
WSGI = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
PAGE = """{% load static %}<title>SHOP</title><link href="{% static 'shop/site.css' %}">"""
DJANGO = {
    "settings.py": SETTINGS,
    "urls.py": URLS,
    "manage.py": MANAGE,
    "wsgi.py": WSGI,
    "shop/__init__.py": "",
    "shop/templates/page.html": PAGE,
    ".gitignore": "staticfiles/\nmedia/\n",
}
STYLESHEET = re.compile(r'href="?(/[a-z/]+\.[0-9a-f]{12,64}\.css)[">]')


def commit(checkout: Path, files: Mapping[str, str], text: str) -> str:
    for name, content in files.items():
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "--allow-empty", "-m", text)
    return git(checkout, "rev-parse", "HEAD")


def stylesheet_in(page: bytes) -> str:
    """The path of the stylesheet that a page loads."""
    found = STYLESHEET.search(page.decode())
    assert found, page
    return found[1]


def style(text: str) -> str:
    return f"body::after {{ content: '{text}'; }}\n"


async def test_over_ten_swaps_of_django_no_request_fails_and_no_hashed_file_is_missing(
    make_site: MakeSite,
) -> None:
    pytest.importorskip("django")
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"]
    gunicorn = [sys.executable, "-m", "gunicorn", "wsgi", "--bind", "unix:{socket}", "--threads=8"]
    site = make_site(
        app={"command": gunicorn, "ports": None},
        health={"path": "/"},
        release={"build": collect, "link": ["media/"]},
        files={"/static/": "staticfiles", "/media/": "media"},
        swap={"soak": "200ms"},
    )
    for rest in ("app.py", "behaviour.json"):
        (site.checkout / rest).unlink(missing_ok=True)
    first = commit(site.checkout, {**DJANGO, "shop/static/shop/site.css": style("first")}, "first")
    async with site.running():
        await site.until_live(first)
        (site.checkout / "media" / "upload.txt").write_text("from a user")
        assert (await site.get("/media/upload.txt")).body == b"from a user"
        answer = await site.get(stylesheet_in((await site.get("/")).body))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        async with visited(site.port, stylesheet_in) as visits:
            for number in range(10):
                async with visits.during_a_swap():
                    files = {"shop/static/shop/site.css": style(f"number {number}")}
                    await site.until_live(commit(site.checkout, files, f"number {number}"))
        assert (await site.get("/media/upload.txt")).headers["cache-control"] == "no-cache"
        site.configure(release={"build": ["true"]})
        assert (await site.cli("reload")).code == 0
        commit(site.checkout, {"shop/static/shop/site.css": style("forgotten")}, "forgotten")
        done = await site.cli("swap")
        assert done.code == 1
        assert "does build in [release] run the command that makes it" in done.err + done.out


HUGO = {
    "config.toml": 'baseURL = "https://blog.example.com/"\ntitle = "A blog"\n',
    "layouts/_default/single.html": "{{ .Content }}",
    "layouts/404.html": "<title>Nothing here</title>",
    "layouts/index.html": """{{ $css := resources.Get "site.css" | fingerprint }}
<title>{{ .Site.Title }}</title><link href="{{ $css.RelPermalink }}">
{{ range .Site.RegularPages }}<a href="{{ .RelPermalink }}">{{ .Title }}</a>{{ end }}""",
    ".gitignore": "public/\nresources/\n.hugo_build.lock\n",
}


def post(title: str) -> str:
    return f"---\ntitle: {title}\n---\nThis is {title}.\n"


async def test_over_ten_swaps_of_hugo_no_request_fails_and_no_hashed_file_is_missing(
    tmp_path: Path,
) -> None:
    if shutil.which("hugo") is None:
        pytest.skip("hugo is not installed")
    build = ["hugo", "--minify", "--quiet", "--cacheDir", str(tmp_path / "cache")]
    site = StaticSite(tmp_path, release={"build": build})
    checkout = site.real.checkout
    (checkout / "app.py").unlink()
    files = {**HUGO, "assets/site.css": style("first"), "content/first.md": post("first")}
    first = commit(checkout, files, "first")
    async with site.real.running():
        await site.real.until_live(first)
        async with visited(site.real.port, stylesheet_in) as visits:
            for number in range(10):
                async with visits.during_a_swap():
                    name = f"number-{number}"
                    new = {"assets/site.css": style(name), f"content/{name}.md": post(name)}
                    await site.real.until_live(commit(checkout, new, name))
                    assert f"This is {name}" in await site.text(f"/{name}/")
        missing = await site.real.get("/none")
        assert (missing.status, missing.body) == (404, b"<title>Nothing here</title>")
        assert (await site.real.get("/first")).status == 308
        (checkout / "content" / "first.md").unlink()
        await site.real.until_live(commit(checkout, {}, "removed"))
        assert (await site.real.get("/first/")).status == 404
