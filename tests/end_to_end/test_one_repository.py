"""Two apps and documentation in one repository: each commit deploys the site that it changes."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.app_checkout import APP, COMMAND, AppCheckout, git
from tests.support.launch import run_command
from tests.support.several_sites import SeveralSites
from tests.waiting import until


class OneRepository:
    """A checkout with the apps `blog` and `shop`, and with `docs`."""

    def __init__(self, sites: SeveralSites) -> None:
        self.app = AppCheckout(sites.directory / "both")
        self.path = self.app.path
        (self.path / "app.py").unlink()
        for name in ("blog", "shop"):
            (self.path / name).mkdir()
            (self.path / name / "app.py").write_bytes(APP.read_bytes())
            (self.path / name / "behaviour.json").write_text("{}")
            site = sites.add(name, self.app)
            sites.change(
                name,
                app={**site.settings["app"], "directory": name, "command": COMMAND},
                git={"checkout": str(self.path), "paths": [name]},
            )

    def commit(self, *names: str, text: str) -> str:
        """Commit this text in these directories."""
        for name in names:
            (self.path / name).mkdir(exist_ok=True)
            (self.path / name / "text.txt").write_text(f"{name} {text}")
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "-m", text)
        return git(self.path, "rev-parse", "HEAD")


async def until_passed_over(sites: SeveralSites, name: str, revision: str) -> None:
    passed_over = f"{name}: HEAD is {revision[:7]} now, which is not deployed: it changes nothing"
    await until(f"{name} passes it over", lambda: passed_over in sites.log())


@pytest.mark.long
async def test_each_commit_deploys_only_the_app_that_it_changes(tmp_path: Path) -> None:
    sites = SeveralSites(tmp_path / "sites")
    repository = OneRepository(sites)
    first = repository.commit("blog", "shop", "docs", text="one")
    async with sites.running():
        for name in ("blog", "shop"):
            await sites.until_live(name, first)
        assert (await sites.check()).out.count("[git] paths: only commits that change") == 2
        docs = repository.commit("docs", text="two")
        for name in ("blog", "shop"):
            await until_passed_over(sites, name, docs)
        shop = repository.commit("shop", text="three")
        await sites.until_live("shop", shop)
        await until_passed_over(sites, "blog", shop)
        assert (await sites.status_of("blog"))["live"]["revision"] == first
        blog = repository.commit("blog", text="four")
        await sites.until_live("blog", blog)
        await until_passed_over(sites, "shop", blog)
        both = repository.commit("blog", "shop", text="five")
        for name in ("blog", "shop"):
            await sites.until_live(name, both)
            assert await sites.text_of(name) == "five"
        assert f"since {both[:7]}" not in (await sites.cli("status")).out


@pytest.mark.long
async def test_a_push_is_deployed_by_the_sites_that_it_changes(tmp_path: Path) -> None:
    sites = SeveralSites(tmp_path / "sites")
    repository = OneRepository(sites)
    first = repository.commit("blog", "shop", "docs", text="one")
    done = await run_command("accept-pushes", str(sites.config_file), env={})
    assert done.code == 0, done.err
    developer = tmp_path / "developer"
    git(tmp_path, "clone", "-q", str(repository.path), str(developer))
    repository.path, there = developer, repository.path
    async with sites.running():
        for name in ("blog", "shop"):
            await sites.until_live(name, first)
        pushed = repository.commit("shop", text="two")
        git(developer, "push", "-q", "origin", "main")
        assert await sites.text_of("shop") == "two"
        assert await sites.text_of("blog") == "one"
        assert git(there, "rev-parse", "HEAD") == pushed
        repository.commit("shop", "blog", text="three")
        git(developer, "push", "-q", "origin", "main")
        for name in ("blog", "shop"):
            assert await sites.text_of(name) == "three"
        await until_passed_over(sites, "blog", pushed)
        # If one of them fails, the push is refused, and a fix is accepted at once.
        (developer / "shop" / "behaviour.json").write_text('{"raises": "broken"}')
        repository.commit("shop", "blog", text="four")
        with pytest.raises(subprocess.CalledProcessError) as refused:
            git(developer, "push", "-q", "origin", "main")
        assert re.search(r"site blog:\s+remote: promoted", refused.value.stderr)
        assert re.search(r"site shop:\s+remote: failed", refused.value.stderr)
        (developer / "shop" / "behaviour.json").write_text("{}")
        repository.commit("shop", "blog", text="five")
        git(developer, "push", "-q", "origin", "main")
        for name in ("blog", "shop"):
            assert await sites.text_of(name) == "five"
