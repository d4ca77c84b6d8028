"""The file HEAD of a repository.

git opens it by name and reads all of it: it would wait for a FIFO, and read a device for ever.
"""

from pathlib import Path

from blue_green.system import files

LARGEST = 4096
"""Bytes; the name of a branch is shorter (PATH_MAX)."""


class InvalidHead(Exception):
    """git must not run in this repository; str() says why and what to do."""


def check(git_dir: Path) -> None:
    """Raise `InvalidHead` if HEAD is not a regular file. git reports all other problems."""
    try:
        if git_dir.is_file():  # Of a linked work tree (gitrepository-layout(5)).
            git_dir = git_dir.parent / _text(git_dir).removeprefix("gitdir:").strip()
        _text(git_dir / "HEAD")
    except files.UnfitFile as error:
        raise InvalidHead(
            f"{error.filename} {error.strerror}: replace it with a file that contains "
            "ref: refs/heads/BRANCH"
        ) from None
    except (OSError, ValueError):
        return


def branch(git_dir: Path) -> str:
    """The full name of the current branch; "" if there is none.

    Raises `OSError`, and `UnicodeDecodeError` if it is not text.
    """
    ref = _text(git_dir / "HEAD").removeprefix("ref:").strip()
    return ref if ref.startswith("refs/") and ref.isprintable() else ""


def _text(path: Path) -> str:
    return files.read_text(path, LARGEST)
