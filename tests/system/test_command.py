"""Commands that are run to their end: their output, their bounds, and their errors."""

import sys
from pathlib import Path

import pytest
import trio

from blue_green.system import supervisor_marker
from blue_green.system.cannot_start import CannotStart
from blue_green.system.command import run
from blue_green.system.tail import MAX_LINES
from tests.support.processes import DEAF, US, WITH_CHILD, alive, python
from tests.waiting import PATIENCE, until


async def test_a_command_that_ran_leaves_its_output_and_its_exit_status(tmp_path: Path) -> None:
    program = f"import sys; [print(i) for i in range({MAX_LINES + 10})]; sys.exit(3)"
    done = await python(tmp_path, program)
    assert (done.ok, done.code) == (False, 3)
    assert done.stdout.startswith("0\n1\n")
    assert done.tail == tuple(map(str, range(10, MAX_LINES + 10)))


async def test_a_command_that_writes_too_much_is_ended(tmp_path: Path) -> None:
    program = "while True: print('x' * 99)"
    done = await run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={},
        user=US,
        timeout=PATIENCE,
        max_output=250,
    )
    assert (done.ok, done.timed_out, done.wrote_too_much) == (False, False, True)
    assert "wrote too much" in str(done)
    assert done.stdout == "\n".join(["x" * 99, "x" * 99, "x" * 50])


async def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    done = await python(tmp_path, "print('so far', flush=True); import time; time.sleep(600)", 1)
    assert done.timed_out
    assert not done.ok
    assert "took too long" in str(done)
    assert done.tail in ((), ("so far",))


async def test_a_missing_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CannotStart, match=r"cannot start no-such-command: (No such file|root may run no)"
    ):
        await run(["no-such-command"], cwd=tmp_path, env={}, user=US, timeout=1)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=str(tmp_path / "gone")):
        await run(["true"], cwd=tmp_path / "gone", env={}, user=US, timeout=1)


async def test_a_cancelled_run_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", WITH_CHILD.format(child=DEAF, leader=DEAF, life=600)]
    async with trio.open_nursery() as nursery:

        async def go() -> None:
            env = supervisor_marker.variable(tmp_path)
            await run(argv, cwd=tmp_path, env=env, user=US, timeout=600)

        nursery.start_soon(go)
        await until("both run", lambda: len(alive(tmp_path)) == 2)
        nursery.cancel_scope.cancel()
    await until("none is left", lambda: not alive(tmp_path))
