"""The links of a release when the file system behind them hangs."""

import threading
from pathlib import Path

import pytest
import trio

from blue_green.source import links
from blue_green.source.failure import MachineFault
from blue_green.source.git import Git
from blue_green.source.links import Links
from blue_green.system import users


async def test_a_file_system_that_hangs_stops_neither_the_event_loop_nor_the_swap_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "release").mkdir()
    user = users.owner_of(tmp_path)
    git = Git(tmp_path / "checkout", user, {}, 1.0)
    answers = threading.Event()
    monkeypatch.setattr(Path, "exists", lambda _: answers.wait(10))
    monkeypatch.setattr(links, "ANSWER_TIMEOUT", 0.1)
    with trio.fail_after(5), pytest.raises(MachineFault, match="media does not respond"):
        await Links(git, user, tmp_path).create(tmp_path / "release", "media")
    answers.set()
