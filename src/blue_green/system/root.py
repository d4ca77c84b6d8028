"""What root may do for us: the rule that keeps everybody else's hands out of it.

What runs as root

- has a fixed environment: a PATH with nothing in it that others can write, and a few variables of
  root's own. Nothing of `[app] env` reaches it, nor what the linker or Python would obey;
- is started by an absolute path;
- works on descriptors, and not on names, in a tree that belongs to somebody else: see `trees`, and
  `files` for what is read;
- is never git in a repository, or in a work tree, that somebody else can write.

`Process.start` keeps the first two, and `Git` the last one. Where we are not root, nothing here
applies: then all of it is one user's.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from blue_green.system import files, users
from blue_green.system.users import User

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = frozenset(
    {
        "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
        "GIT_SSH_COMMAND", "GIT_SSH", "SSH_AUTH_SOCK",
        "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
    }
)  # fmt: skip
"""Of the environment that root started us with, what git needs to get to a remote."""
LINKER = "LD_"
LARGEST_LINK = 4096


class Unsafe(Exception):
    """Root must not do this; str() says why, and what to do."""


def is_us() -> bool:
    """Whether we are root, and all of this applies."""
    return os.geteuid() == 0


# --- programs and their environment ---------------------------------------------------------


@cache
def path() -> str:
    """Those directories of our PATH, as it was at the start, that nobody but root can write."""
    given = (os.environ.get("PATH") or USUAL_PATH).split(os.pathsep)
    safe = [place for place in given if place.startswith("/") and _is_roots(place)]
    return os.pathsep.join(safe) or USUAL_PATH


def _is_roots(place: str) -> bool:
    try:
        return users.writable_by_others(Path(place)) is None
    except OSError:
        return False


def program(name: str, user: User) -> str:
    """The absolute path of a program that this user may run; raise `Unsafe`."""
    if name.startswith("/"):
        return name
    for place in path().split(os.pathsep):
        found = shutil.which(name, path=place)
        if found is not None and users.may(user, Path(found), os.X_OK):
            return found
    raise Unsafe(
        f"there is no program {name} that {user.name} may run in {path()}: those directories of "
        "root's PATH in which only root can write"
    )


def environment(user: User, added: Mapping[str, str]) -> dict[str, str]:
    """All that a program finds there which root starts for us, as itself or as this user."""
    ours = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    allowed = {name: value for name, value in added.items() if not name.startswith(LINKER)}
    return {**ours, **user.login, **allowed, "PATH": path()}


# --- repositories ---------------------------------------------------------------------------


def check_repository(work_tree: Path, git_dir: Path | None = None) -> None:
    """Raise `Unsafe` if somebody else can write what git, as root, would obey there.

    That is the work tree itself; and of the repository, which may be elsewhere, the directory and
    what is in it: `config` names programs, `info/attributes` has them run, and a directory that can
    be written can have all of it replaced.
    """
    for place in (work_tree, *_repositories(work_tree, git_dir)):
        if found := users.writable_by_others(place):
            raise Unsafe(_refusal(found, work_tree))
    for repository in _repositories(work_tree, git_dir):
        for inner in (repository, repository / "info", repository / "objects" / "info"):
            for entry in _entries(inner):
                if found := _writable(entry):
                    raise Unsafe(_refusal(found, work_tree))


def check_directories(work_tree: Path, names: Iterator[str]) -> None:
    """The same for directories of the work tree into which git, as root, is to write files."""
    for name in names:
        if found := _writable(work_tree / name):
            raise Unsafe(_refusal(found, work_tree))


def _repositories(work_tree: Path, git_dir: Path | None) -> Iterator[Path]:
    """The git directory, and the one that it shares with others if it is of a linked work tree."""
    found = git_dir or _git_dir(work_tree)
    if found is None:
        return  # git has better words for that.
    yield found
    try:
        common = files.read_text(found / "commondir", LARGEST_LINK).strip()
    except (OSError, UnicodeDecodeError):
        return
    yield found / common


def _git_dir(work_tree: Path) -> Path | None:
    """Where git looks for it: `.git` here or above, a directory or a file that names one."""
    for place in (work_tree, *work_tree.parents):
        named = place / ".git"
        if named.is_dir():
            return named
        if named.is_file():
            try:
                link = files.read_text(named, LARGEST_LINK).removeprefix("gitdir:").strip()
            except (OSError, UnicodeDecodeError):
                return None
            return place / link
    return None


def _entries(directory: Path) -> Iterator[Path]:
    try:
        yield from directory.iterdir()
    except (FileNotFoundError, NotADirectoryError):
        return


def _writable(path: Path) -> Path | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return users.writable_by_others(path) if path.exists() else None
    return path if status.st_uid != 0 or status.st_mode & 0o022 else None


def _refusal(found: Path, work_tree: Path) -> str:
    return (
        f"git is not run as root in {work_tree}: others than root can write {found}, who could run "
        f"anything as root: chown root {found} && chmod go-w {found}; or give the checkout to "
        "somebody else, as whom git then runs"
    )
