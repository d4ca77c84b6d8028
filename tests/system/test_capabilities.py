"""The capability for low ports is the supervisor's, and not for the programs that it starts."""

import inspect
import os
import shutil
import subprocess

import pytest

from blue_green.system import capabilities
from tests.support.other_users import PYTHON

BIND, NICE = 1 << 10, 1 << 23
"""CAP_NET_BIND_SERVICE and CAP_SYS_NICE, as bits."""
PROGRAM = f"""
{inspect.getsource(capabilities)}
import os, subprocess, sys
shown = "/usr/bin/grep -E ^Cap(Prm|Amb) /proc/self/status".split()
keep_to_ourselves()
with open("/proc/self/status") as status:
    print(*[line for line in status if line.startswith("CapPrm")], end="")
subprocess.run(shown)
sys.stdout.flush()
pass_on()
os.execv(shown[0], shown)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON or shutil.which("setpriv") is None,
    reason="needs root, setpriv and a /usr/bin/python3",
)
def test_only_the_supervisor_and_its_next_program_may_listen_on_low_ports() -> None:
    both = "-all,+net_bind_service,+sys_nice"
    done = subprocess.run(
        [
            *("setpriv", "--reuid=nobody", "--clear-groups", "--no-new-privs"),
            *("--bounding-set", both, "--inh-caps", both, "--ambient-caps", both),
            *(PYTHON, "-u", "-c", PROGRAM),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    ours, *others = [int(line.split()[1], 16) for line in done.stdout.splitlines()]
    assert ours == BIND | NICE
    assert others[:2] == [NICE, NICE], "what a child may do, and what its children may"
    assert others[2:] == [BIND | NICE, BIND | NICE], "the next program after an upgrade"
