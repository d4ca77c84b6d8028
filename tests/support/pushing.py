"""A clone of a site's checkout, from which somebody pushes to it with real git."""

import os
import subprocess
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from tests.support.app_checkout import git
from tests.support.site import RealSite
from tests.waiting import PATIENCE, until


@frozen
class Pushed:
    """How `git push` ended."""

    is_accepted: bool
    output: str
    """What it printed, with the lines of the hook after `remote: `."""

    @property
    def remote(self) -> list[str]:
        """The lines that the hook wrote."""
        lines = self.output.replace("\r", "\n").splitlines()
        return [line.removeprefix("remote: ").rstrip() for line in lines if "remote: " in line]


class Developer:
    """Somebody with a clone of the checkout."""

    def __init__(self, site: RealSite, name: str = "developer", url: str = "") -> None:
        self.path = site.directory / name
        self.url = url or str(site.checkout)
        git(site.directory, "clone", "-q", str(site.checkout), str(self.path))
        git(self.path, "remote", "set-url", "origin", self.url)

    def commit(self, text: str, **files: str) -> str:
        """Commit a text that the app answers with, and files with underscores for dots."""
        (self.path / "text.txt").write_text(text)
        for name, content in files.items():
            (self.path / name.replace("_", ".")).write_text(content)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", text)
        return git(self.path, "rev-parse", "HEAD")

    def start(self, *words: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a push. Whoever does has to end it, too."""
        return subprocess.Popen(
            ["git", "push", *(words or ("origin", "main"))],
            cwd=self.path,
            env=_env(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    async def push(self, *words: str, **env: str) -> Pushed:
        done = await trio.run_process(
            ["git", "push", *(words or ("origin", "main"))],
            cwd=self.path,
            env=_env(env),
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Pushed(done.returncode == 0, done.stdout.decode())


def _env(env: dict[str, str]) -> dict[str, str]:
    nothing = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    return {**os.environ, **nothing, "GIT_TERMINAL_PROMPT": "0", **env}


async def accepting(site: RealSite, *words: str) -> Path:
    """Let the checkout of the site accept pushes; the hook."""
    done = await site.run("accept-pushes", str(site.config_file), *words)
    assert done.code == 0, done.err
    return site.checkout / ".git" / "hooks" / "update"


async def end_of(pushing: "subprocess.Popen[bytes]") -> str:
    """Wait until a push that was started has ended; what it printed."""
    end = partial(pushing.communicate, timeout=PATIENCE)
    output, _ = await trio.to_thread.run_sync(end)
    return str(output.decode())


async def until_head(site: RealSite, revision: str) -> None:
    """Wait until the watch has seen this HEAD; it is live, and there was no second swap."""

    async def is_head() -> bool:
        return bool((await site.status())["head"] == revision)

    await until("HEAD is seen", is_head)
    status = await site.status()
    assert (status["live"]["revision"], status["wanted"], status["why"]) == (revision, revision, "")
