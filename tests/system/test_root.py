"""What root runs, and with which environment."""

import json
import os
import shutil
from pathlib import Path

import pytest

from blue_green.system import command, root, users
from blue_green.system.cannot_start import CannotStart
from tests.support.other_users import NOBODY, PYTHON, as_root

pytestmark = as_root

TOLD_ENVIRONMENT = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "env": dict(os.environ), "user": os.geteuid()}))
"""


async def test_commands_run_as_root_have_a_fixed_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LD_PRELOAD", "PYTHONPATH", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF", "BASH_ENV"):
        monkeypatch.setenv(name, "/theirs")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("LANG", "C.UTF-8")
    us = users.owner_of(Path("/proc/self"))
    them = users.named("nobody", None, us)
    given = {"LD_LIBRARY_PATH": "/theirs", "PATH": "/theirs", "GIT_DIR": "/ours"}
    for user in (us, them):
        done = await command.run(
            [PYTHON, "-c", TOLD_ENVIRONMENT], cwd=directory, env=given, user=user, timeout=20
        )
        told = json.loads(done.stdout)
        assert told["user"] == user.uid
        assert "/theirs" not in told["env"].values()
        assert told["env"]["HOME"] == user.home
        assert told["env"]["LANG"] == "C.UTF-8"
        assert told["env"]["GIT_DIR"] == "/ours"


async def test_root_runs_no_program_from_a_directory_that_others_can_write(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = directory / "theirs"
    theirs.mkdir()
    program = theirs / "git"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
    us = users.owner_of(Path("/proc/self"))
    monkeypatch.setenv("PATH", f"{theirs}:bin:.:{os.environ['PATH']}")
    root.path.cache_clear()
    try:
        assert root.program("git", us) == shutil.which("git", path="/usr/local/bin:/usr/bin:/bin")
        monkeypatch.setenv("PATH", str(theirs))
        root.path.cache_clear()
        assert root.path() == root.USUAL_PATH
    finally:
        root.path.cache_clear()
    with pytest.raises(CannotStart, match="root may run no program no-such in"):
        await command.run(["no-such"], cwd=directory, env={}, user=us, timeout=20)
