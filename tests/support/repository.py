"""A git repository for the tests of what works with one."""

from pathlib import Path

from blue_green.source.git import Git
from blue_green.system import users
from tests.support.app_checkout import git
from tests.waiting import PATIENCE


class Repository:
    """A work tree with one commit on `main`; commits are made as a developer would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.first = self.commit(text="first")

    def git(self, *words: str) -> str:
        return git(self.path, *words)

    def commit(self, **files: str) -> str:
        """Commit files, named without their `.txt`; the revision."""
        for name, content in files.items():
            (self.path / f"{name}.txt").write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD")

    def clone(self, path: Path) -> "Repository":
        """Another work tree, whose `main` follows ours."""
        return self.clone_of(self.path, path)

    @classmethod
    def clone_of(cls, origin: Path, path: Path) -> "Repository":
        """A work tree whose `main` follows the one there."""
        git(origin.parent, "clone", "-q", str(origin), str(path))
        cloned = cls.__new__(cls)
        cloned.path, cloned.first = path, git(path, "rev-parse", "HEAD")
        return cloned


def git_of(checkout: Path, **env: str) -> Git:
    """What is tested, with nothing of this machine's configuration."""
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **env}
    return Git(checkout, users.owner_of(checkout), env, fetch_timeout=PATIENCE)
