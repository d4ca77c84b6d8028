"""A second app, from its checkout to its first request: `init`, `check`, `reload`, `status`."""

from pathlib import Path

import trio

from tests.support.command import cli
from tests.support.repository import Repository
from tests.support.several_sites import SeveralSites
from tests.waiting import PATIENCE


async def test_an_app_is_added_to_a_running_supervisor(directory: Path) -> None:
    sites = SeveralSites(directory / "etc", "blog")
    pages = Repository(directory / "srv" / "pages")
    (pages.path / "index.html").write_text("hello")
    pages.commit()
    main = str(sites.config_file)

    async def run(*words: str) -> str:
        done = await trio.to_thread.run_sync(cli, pages.path, *words)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    async with sites.running():
        said = await run("init", "--yes", "--file", main)
        assert f"wrote {directory}/etc/sites/pages.toml for static files" in said
        assert "the site pages gets the requests for pages.localhost" in said
        said = await run("check", "--site", "pages", "--start", main)
        assert "already running with this settings file" in said
        assert "passed  sites.pages start: " in said
        assert "sites.blog" not in said
        assert (await run("reload", "--config", main)).startswith("sites.pages: added, now\n")
        # From within the checkout, without any file there, the supervisor and the site are found.
        with trio.fail_after(PATIENCE):
            while not (said := await run("status", "pages")).startswith("● pages is serving"):
                assert said.startswith("● pages is "), said
        assert (await run("restart")).startswith("swap to ")
        said = await run("check", main)
        assert "passed  memory: the apps use " in said
        assert "(blog " in said
        lines = (await run("status")).splitlines()
        assert [line.split()[1:3] for line in lines[1:3]] == [
            ["blog", "serving"],
            ["pages", "serving"],
        ]
