"""A git checkout with the test app in it, and what its backends wrote down."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

APP = Path(__file__).parents[1] / "apps" / "app.py"
COMMAND = [sys.executable, "-S", "app.py"]
"""It starts faster without site-packages, which it does not need."""


def git(checkout: Path, *words: str) -> str:
    """Run git as a developer would, with nothing of this machine's configuration."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *who, *words], cwd=checkout, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class AppCheckout:
    """A checkout with the test app, in a directory of its own beside the app's journal."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "checkout"
        self.journal_file = directory / "journal"
        self.barriers = directory / "barriers"
        self.path.mkdir(parents=True)
        self.barriers.mkdir()
        git(self.path, "init", "-q", "-b", "main")
        (self.path / "app.py").write_bytes(APP.read_bytes())

    @property
    def env(self) -> dict[str, str]:
        """What the app needs in its environment."""
        return {"JOURNAL": str(self.journal_file), "BARRIERS": str(self.barriers)}

    def commit(
        self, text: str = "hello", files: dict[str, str] | None = None, **behaviour: Any
    ) -> str:
        """Commit a version of the app that behaves so; its revision."""
        self._stage(text, files or {}, behaviour)
        git(self.path, "commit", "-q", "--allow-empty", "-m", text)
        return self.head()

    def draft(
        self, text: str = "draft", files: dict[str, str] | None = None, **behaviour: Any
    ) -> str:
        """The same, but HEAD stays where it is, so that nobody asks for it but the test."""
        self._stage(text, files or {}, behaviour)
        tree = git(self.path, "write-tree")
        return git(self.path, "commit-tree", "-p", "HEAD", "-m", text, tree)

    def head(self) -> str:
        """The revision that is checked out."""
        return git(self.path, "rev-parse", "HEAD")

    def _stage(self, text: str, files: dict[str, str], behaviour: dict[str, Any]) -> None:
        (self.path / "behaviour.json").write_text(json.dumps(behaviour))
        (self.path / "text.txt").write_text(text)
        for name, content in files.items():
            (self.path / name).write_text(content)
        git(self.path, "add", "-A")

    def worktrees(self) -> list[str]:
        """What git knows of."""
        lines = git(self.path, "worktree", "list", "--porcelain").splitlines()
        paths = [Path(line.partition(" ")[2]) for line in lines if line.startswith("worktree ")]
        return sorted(path.name for path in paths if path != self.path)

    # --- where the app stands still ---

    def put_up(self, where: str, revision: str) -> Path:
        """From now on this release waits `where`, which its app or its commands know."""
        barrier = self.barriers / f"{where}-{revision}"
        barrier.touch()
        return barrier

    def take_down_barriers(self) -> None:
        for file in self.barriers.iterdir():
            file.unlink(missing_ok=True)

    def journal(self, kind: str = "request") -> list[dict[str, Any]]:
        """What the backends wrote down, of one kind."""
        if not self.journal_file.exists():
            return []
        text = self.journal_file.read_text()
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return [line for line in lines if line["kind"] == kind]
