"""What `init` writes for real apps is built, checked, started and swapped as it is written."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.support import app_trees
from tests.support.app_checkout import git
from tests.support.app_trees import Tree
from tests.support.init_checkout import put
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]
pytestmark = pytest.mark.long
SWAP_SECONDS = 120.0


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(programs)}")


def require_gems(gemfile: str) -> None:
    """Skip the test if a gem of this file is not installed: `bundle` would have to fetch it."""
    names = re.findall(r'^gem "([^"]+)"', gemfile, re.MULTILINE)
    for name in names:
        words = ["gem", "list", "--installed", "--silent", f"^{name}$"]
        if subprocess.run(words, check=False).returncode != 0:
            pytest.skip(f"needs the gem {name}")


@pytest.fixture
def packages() -> None:
    """The index of Python's packages, from which uv installs."""
    if shutil.which("uv") is None:
        pytest.skip("needs uv")
    words = ["uv", "pip", "compile", "-q", "-"]
    done = subprocess.run(words, input=b"gunicorn", capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs an index of packages")


def commit(site: RealSite, tree: Tree) -> None:
    (site.checkout / "app.py").unlink(missing_ok=True)
    put(site.checkout, dict(tree))
    if "bin/rails" in tree:
        (site.checkout / "bin/rails").chmod(0o755)
    if "Gemfile" in tree:
        require_gems(tree["Gemfile"])
        subprocess.run(["bundle", "install", "--local", "--quiet"], cwd=site.checkout, check=True)
    git(site.checkout, "add", "-A")
    git(site.checkout, "commit", "-q", "-m", "an app")


async def init(site: RealSite, tree: Tree) -> dict[str, Any]:
    """Write settings; only ports, addresses and the state differ from what was written."""
    commit(site, tree)
    file = site.directory / "written.toml"
    done = await site.run("init", "--yes", "--file", str(file), str(site.checkout))
    assert done.code == 0, done.err
    written: dict[str, Any] = tomllib.loads(file.read_text())
    if "app" in written:
        written["app"]["ports"] = [site.blue, site.green]
        written["app"].get("env", {}).pop("BUNDLE_PATH", None)
        links = written["release"].get("link", [])
        written["release"]["link"] = [name for name in links if name != "vendor/bundle/"]
    written["proxy"]["listen"] = [f"127.0.0.1:{site.port}"]
    written["state"] = {"directory": str(site.state)}
    site.config_file.write_text(tomli_w.dumps(written))
    return written


async def swap(site: RealSite) -> None:
    """Deploy one more commit."""
    git(site.checkout, "commit", "-q", "--allow-empty", "-m", "again")
    await site.until_live(site.head(), SWAP_SECONDS)


async def check_and_serve(site: RealSite, tree: Tree, text: str) -> dict[str, Any]:
    written = await init(site, tree)
    done = await site.run("check", "--start", str(site.config_file))
    assert done.code == 0, done.out
    async with site.running():
        for _ in range(2):
            answer = await site.get("/")
            assert (answer.status, text in answer.body.decode()) == (200, True), site.log()
            await swap(site)
    return written


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        pytest.param(app_trees.GO, "hello from go", marks=needs("go")),
        pytest.param(app_trees.HUGO, "hello from Blog", marks=needs("hugo")),
        pytest.param(app_trees.JEKYLL, "hello from jekyll", marks=needs("jekyll")),
        pytest.param(app_trees.SINATRA, "hello from sinatra", marks=needs("bundle", "gem")),
    ],
)
async def test_an_app_of_debians_packages_is_served(
    make_site: MakeSite, tree: Tree, text: str
) -> None:
    await check_and_serve(make_site(), tree, text)


async def test_a_static_site_is_built_with_npm(make_site: MakeSite) -> None:
    site = make_site()
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    put(site.checkout, dict(app_trees.ELEVENTY))
    words = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    if subprocess.run(words, cwd=site.checkout, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs a registry of packages")
    written = await check_and_serve(site, app_trees.ELEVENTY, "hello from eleventy")
    assert written["release"]["build"] == ["sh", "-c", "npm ci && npm run build"]


@pytest.mark.usefixtures("packages")
async def test_a_procfile_runs_on_gunicorn_in_an_environment_by_uv(make_site: MakeSite) -> None:
    site = make_site()
    written = await init(site, app_trees.FLASK)
    assert "--workers" in written["app"]["command"]
    done = await site.run("check", "--start", str(site.config_file))
    assert done.code == 0, done.out
    async with site.running():
        assert b"hello from flask" in (await site.get("/")).body
        await swap(site)
        builds = re.findall(r"build (\d+\.\d+) s", site.log())
        assert float(builds[-1]) < 5, "the second environment is made of links to the cache"
        assert b"hello from flask" in (await site.get("/")).body


@pytest.mark.usefixtures("packages")
async def test_a_project_of_uv_is_served_from_its_lock(make_site: MakeSite) -> None:
    site = make_site()
    put(site.checkout, dict(app_trees.UV_PROJECT))
    subprocess.run(["uv", "lock", "-q"], cwd=site.checkout, check=True)
    written = await check_and_serve(site, app_trees.UV_PROJECT, "hello from uv")
    assert written["release"]["build"] == ["uv", "sync", "--frozen", "--no-dev"]


@pytest.mark.usefixtures("packages")
async def test_documentation_is_built_by_mkdocs(make_site: MakeSite) -> None:
    await check_and_serve(make_site(), app_trees.MKDOCS, "hello from mkdocs")


@needs("bundle", "gem", "ruby")
async def test_rails_keeps_its_data_and_serves_its_assets_as_files(make_site: MakeSite) -> None:
    site = make_site()
    written = await init(site, app_trees.RAILS)
    assert written["swap"]["strategy"] == "exclusive"
    done = await site.run("check", str(site.config_file))  # A trial start migrates nothing.
    assert done.code == 0, done.out
    async with site.running():
        first = await site.get("/?add=one")
        assert b"hello from rails, notes: 1" in first.body
        style = re.findall(r"/assets/application-\w+\.css", first.body.decode())[0]
        answer = await site.get(style)
        assert (answer.status, b"blue" in answer.body) == (200, True)
        assert answer.headers["content-type"].startswith("text/css")
        await swap(site)
        assert b"hello from rails, notes: 1" in (await site.get("/")).body
        assert (await site.get(style)).status == 200
    assert (Path(site.checkout) / "db/production.sqlite3").exists()
