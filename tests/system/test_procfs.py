"""What /proc says about processes."""

import os
from contextlib import AbstractContextManager
from subprocess import Popen

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


def test_a_process_that_is_older_than_a_command_is_no_descendant() -> None:
    def process() -> AbstractContextManager[Popen[bytes]]:
        return left_behind(SLEEP, MARK="x")

    with process() as older, process() as command, process() as younger:
        assert procfs.descendants("MARK=x", command.pid) == [younger.pid]
        assert set(procfs.descendants("MARK=x", older.pid)) == {command.pid, younger.pid}
