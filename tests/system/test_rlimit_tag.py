"""Tags in resource limits, by which hidden descendants are found."""

import resource
import subprocess
import sys

from blue_green.system import procfs, rlimit_tag
from blue_green.system.process import COMMAND_ID


def test_the_supervisors_own_limits_are_unchanged() -> None:
    before = resource.getrlimit(rlimit_tag.RLIMIT_LOCKS)
    with rlimit_tag.inherited(rlimit_tag.new("x")):
        assert resource.getrlimit(rlimit_tag.RLIMIT_LOCKS) != before
    assert resource.getrlimit(rlimit_tag.RLIMIT_LOCKS) == before


def test_a_limit_that_is_no_tag_identifies_no_command() -> None:
    """Most processes have no limit of locks, or a small one that somebody set."""
    for value in ("", "x", "0", "ffffffffffffffff", "1f"):
        assert procfs.descendants(f"{COMMAND_ID}={value}", 2**22 + 1) == []


def test_a_hard_limit_that_leaves_no_room_for_tags_is_reported() -> None:
    program = "from blue_green.system import rlimit_tag; print(rlimit_tag.obstacle())"
    limited = f"import resource; resource.setrlimit({rlimit_tag.RLIMIT_LOCKS}, (64, 64)); {program}"
    said = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        for code in (program, limited)
    ]
    assert said[0].stdout == "\n"
    assert "the hard limit RLIMIT_LOCKS is 64:" in said[1].stdout
