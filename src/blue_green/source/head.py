"""HEAD of a repository, as the file that it is.

git itself opens it by name and reads all of it: of a FIFO it would wait, of a device read for ever.
"""

from pathlib import Path

from blue_green.system import files

LARGEST = 4096
"""Bytes; the name of a branch has less (PATH_MAX)."""


class UnfitHead(Exception):
    """git must not be run in this repository; str() says why and what to do."""


def check(git_dir: Path) -> None:
    """Raise `UnfitHead`; of all else that may be wrong, git has better words."""
    try:
        if git_dir.is_file():  # Of a linked work tree (gitrepository-layout(5)).
            git_dir = git_dir.parent / _text(git_dir).removeprefix("gitdir:").strip()
        _text(git_dir / "HEAD")
    except files.UnfitFile as error:
        raise UnfitHead(
            f"{error.filename} {error.strerror}: replace it by a file with ref: refs/heads/BRANCH"
        ) from None
    except (OSError, ValueError):
        return


def branch(git_dir: Path) -> str:
    """The full name of the branch that is checked out, or nothing.

    Raises `OSError`, and `UnicodeDecodeError` if it is not text.
    """
    ref = _text(git_dir / "HEAD").removeprefix("ref:").strip()
    return ref if ref.startswith("refs/") and ref.isprintable() else ""


def _text(path: Path) -> str:
    return files.read_text(path, LARGEST)
