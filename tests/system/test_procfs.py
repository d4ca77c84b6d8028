"""What /proc says about processes."""

import os

from blue_green.system import procfs
from tests.support.left_behind import SLEEP, left_behind


def test_a_process_name_with_parentheses_is_parsed() -> None:
    program = f'open("/proc/self/comm", "w").write("a) Z 1 (b"); {SLEEP}'
    with left_behind(program, MARK="x y") as popen:
        began = procfs.start_time(popen.pid)
        ours = procfs.start_time(os.getpid())
        assert began is not None
        assert ours is not None
        assert began >= ours
        assert procfs.pids_of_supervisor("MARK=x y") == [popen.pid]
