"""Rules for what runs as root, so that no other user can make it run something else.

A program that runs as root

- has a fixed environment: a PATH without directories that others can write, and a few variables of
  root. It gets nothing from `[app] env`, and no variable that the linker or Python obeys;
- is started by an absolute path;
- works on descriptors, not on names, in a tree of another user: see `trees`, and `files` for
  reading;
- is never git in a repository or a work tree that another user can write.

`Process.start` enforces the first two, and `Git` the last one. If we are not root, nothing here
applies: everything belongs to one user.
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
"""Variables of root's environment that git needs to reach a remote."""
LINKER = "LD_"
LARGEST_LINK = 4096


class Unsafe(Exception):
    """Root must not do this; str() says why and what to do."""


def is_us() -> bool:
    """Whether we are root, and these rules apply."""
    return os.geteuid() == 0


# --- programs and their environment ---------------------------------------------------------


@cache
def path() -> str:
    """The directories of the PATH that we were started with that only root can write."""
    given = (os.environ.get("PATH") or USUAL_PATH).split(os.pathsep)
    safe = [entry for entry in given if entry.startswith("/") and _is_roots(entry)]
    return os.pathsep.join(safe) or USUAL_PATH


def _is_roots(directory: str) -> bool:
    try:
        return users.writable_by_others(Path(directory)) is None
    except OSError:
        return False


def program(name: str, user: User) -> str:
    """The absolute path of a program that this user may run; raise `Unsafe`."""
    if name.startswith("/"):
        return name
    for directory in path().split(os.pathsep):
        found = shutil.which(name, path=directory)
        if found is not None and users.may(user, Path(found), os.X_OK):
            return found
    raise Unsafe(
        f"{user.name} may run no program {name} in {path()}, the directories of root's PATH that "
        "only root can write"
    )


def environment(user: User, added: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that we start as root, to run as this user."""
    ours = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    allowed = {name: value for name, value in added.items() if not name.startswith(LINKER)}
    return {**ours, **user.login, **allowed, "PATH": path()}


# --- repositories ---------------------------------------------------------------------------


def check_repository(work_tree: Path, git_dir: Path | None = None) -> None:
    """Raise `Unsafe` if another user can write files that git, as root, would obey.

    These are the work tree itself, and the directory of the repository with its files: `config`
    names programs, `info/attributes` runs them, and in a writable directory all files can be
    replaced.
    """
    for directory in (work_tree, *_repositories(work_tree, git_dir)):
        if found := users.writable_by_others(directory):
            raise Unsafe(_refusal(found, work_tree))
    for repository in _repositories(work_tree, git_dir):
        for inner in (repository, repository / "info", repository / "objects" / "info"):
            for entry in _entries(inner):
                if found := _writable(entry):
                    raise Unsafe(_refusal(found, work_tree))


def check_directories(work_tree: Path, names: Iterator[str]) -> None:
    """As `check_repository`, for directories of the work tree in which git will write files."""
    for name in names:
        if found := _writable(work_tree / name):
            raise Unsafe(_refusal(found, work_tree))


def _repositories(work_tree: Path, git_dir: Path | None) -> Iterator[Path]:
    """The git directory, and the common one if this is a linked work tree."""
    found = git_dir or _git_dir(work_tree)
    if found is None:
        return  # The message of git says it better.
    yield found
    try:
        common = files.read_text(found / "commondir", LARGEST_LINK).strip()
    except (OSError, UnicodeDecodeError):
        return
    yield found / common


def _git_dir(work_tree: Path) -> Path | None:
    """The git directory as git finds it: `.git` here or above, or the directory that it names."""
    for directory in (work_tree, *work_tree.parents):
        named = directory / ".git"
        if named.is_dir():
            return named
        if named.is_file():
            try:
                link = files.read_text(named, LARGEST_LINK).removeprefix("gitdir:").strip()
            except (OSError, UnicodeDecodeError):
                return None
            return directory / link
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
        f"git must not run as root in {work_tree}: users other than root can write {found}, and "
        f"could run anything as root: chown root {found} && chmod go-w {found}; or "
        "give the checkout to another user, so that git runs as that user"
    )
