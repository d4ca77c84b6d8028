"""A capability of the supervisor is not for the programs that it starts."""

import inspect
import os
import shutil
import subprocess

import pytest

from blue_green.system import capabilities
from tests.support.other_users import PYTHON

BITS = 1 << 10
"""CAP_NET_BIND_SERVICE."""
PROGRAM = f"""
{inspect.getsource(capabilities)}
import os, subprocess, sys
shown = "/usr/bin/grep -E ^Cap(Prm|Amb) /proc/self/status".split()
ours = lambda: STATUS.read_text().split("CapPrm:\\t")[1].split()[0]
keep_to_ourselves()
print(ours(), *subprocess.run(shown, capture_output=True, text=True).stdout.split())
pass_on()
sys.stdout.flush()
os.execv(shown[0], shown)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON or shutil.which("setpriv") is None,
    reason="needs root, setpriv and a /usr/bin/python3",
)
def test_children_inherit_no_capability_but_the_next_program_after_an_upgrade_does() -> None:
    only = "-all,+net_bind_service"
    done = subprocess.run(
        [
            *("setpriv", "--reuid=nobody", "--clear-groups", "--no-new-privs"),
            *("--bounding-set", only, "--inh-caps", only, "--ambient-caps", only),
            *(PYTHON, "-c", PROGRAM),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    first, *rest = done.stdout.splitlines()
    ours, _, childs, _, ambient = first.split()
    assert [int(value, 16) for value in (ours, childs, ambient)] == [BITS, 0, 0]
    assert [int(line.split()[1], 16) for line in rest] == [BITS, BITS], "after execve(2)"
