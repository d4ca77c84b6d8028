"""A site that belongs to another user than the one who runs it."""

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import RealSite

NOBODY, DAEMON = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or ""
"""One that everybody may run, unlike the one of an environment in somebody's home."""

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON, reason="needs root, and a python3 in /usr/bin"
)
"""For tests in which root acts for another user, who runs `PYTHON`."""


def a_site(
    directory: Path, *, owner: int, kind: type[RealSite] = RealSite, **sections: dict[str, Any]
) -> RealSite:
    directory.mkdir(exist_ok=True)
    site = kind(directory, **sections)
    site.configure(app={"command": [PYTHON, "app.py"]})
    site.commit()
    for place in (site.checkout, *site.checkout.rglob("*")):
        os.chown(place, owner, owner)
    site.journal_file.touch()
    site.journal_file.chmod(0o666)
    return site


def give_to(user: pwd.struct_passwd, *places: Path) -> None:
    """Give these, and everything in them, to a user and its group."""
    for place in places:
        for path in (place, *place.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid
