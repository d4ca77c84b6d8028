"""The `logs` command: filters, and followers that affect nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.control import server
from blue_green.control.client import ControlSocket, ask
from blue_green.control.messages import decode, encode
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.system.output import Output
from tests.support.output import OTHER, write
from tests.support.repository import Repository, git_of
from tests.waiting import PATIENCE, until


@pytest.fixture
def ring() -> Output:
    return Output()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "checkout")


@pytest.fixture
async def path(
    tmp_path: Path, ring: Output, repository: Repository, nursery: trio.Nursery
) -> AsyncIterator[Path]:
    """Where somebody can ask for this output."""
    logs = Logs(ring, git_of(repository.path), ["worker"])
    with server.listening(tmp_path / "s") as sock:
        commands = {"logs": server.Operation(LogsArguments, logs.run)}
        nursery.start_soon(server.serve, sock, commands)
        yield tmp_path / "s"
        nursery.cancel_scope.cancel()


async def answers(path: Path, **request: Any) -> list[dict[str, Any]]:
    with trio.fail_after(PATIENCE):
        asked = {"command": "logs", **request}
        return await trio.to_thread.run_sync(
            lambda: list(ask(ControlSocket(path), asked)), abandon_on_cancel=True
        )


async def lines_of(path: Path, **request: Any) -> list[str]:
    *pieces, result = await answers(path, **request)
    assert result == {"event": "result"}
    assert all(piece["lost"] == 0 for piece in pieces)
    return [line["text"] for piece in pieces for line in piece["lines"]]


async def test_output_is_filtered_by_slot_or_revision(
    path: Path, ring: Output, repository: Repository
) -> None:
    write(ring, "compiled", source="build", revision=repository.first)
    write(ring, "ready", source="green", revision=repository.first)
    write(ring, "old", source="blue", revision=OTHER)
    assert await lines_of(path) == ["compiled", "ready", "old"]
    assert await lines_of(path, count=2) == ["ready", "old"]
    assert await lines_of(path, which="green") == ["ready"]
    assert await lines_of(path, which="build") == ["compiled"]
    assert await lines_of(path, which=OTHER[:7]) == ["old"]
    assert await lines_of(path, which="main") == ["compiled", "ready"]


async def test_the_lines_of_all_instances_of_a_process_can_be_selected(
    path: Path, ring: Output
) -> None:
    for source in ("worker", "worker.2", "worker-2", "green"):
        write(ring, source, source=source, revision=OTHER)
    assert await lines_of(path, which="worker") == ["worker", "worker.2"]


@pytest.mark.parametrize(
    "wrong",
    [{"which": "nobody"}, {"which": "--all"}, {"count": -1}, {"count": True}, {"count": 1.0}],
)
async def test_an_unknown_filter_is_wrong_usage(path: Path, wrong: dict[str, Any]) -> None:
    (answer,) = await answers(path, **wrong)
    assert (answer["event"], answer["usage"]) == ("error", True)


async def test_the_error_for_an_unknown_filter_lists_the_known_ones(path: Path) -> None:
    (answer,) = await answers(path, which="purple")
    assert answer["error"].startswith("purple is not one of blue, green, build, migrate, worker; ")


async def test_a_follower_gets_lines_as_they_arrive(path: Path, ring: Output) -> None:
    write(ring, "before")
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        for text in ("before", "one", "two"):
            with trio.fail_after(PATIENCE):
                (line,) = decode(await stream.receive_some())["lines"]
            assert line["text"] == text
            write(ring, {"before": "one", "one": "two"}.get(text, "end"))


async def test_a_follower_that_does_not_read_delays_no_one_and_learns_what_was_lost(
    path: Path, ring: Output
) -> None:
    write(ring, "first")
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        await until("it follows", lambda: ring.waiting_readers)
        for _ in range(300):
            write(ring, *["x" * 1000] * 100)
            await trio.lowlevel.checkpoint()
        write(ring, "last")
        pieces: list[dict[str, Any]] = []
        buffer = b""
        with trio.fail_after(PATIENCE):
            while not pieces or pieces[-1]["lines"][-1]["text"] != "last":
                *lines, buffer = (buffer + await stream.receive_some()).split(b"\n")
                pieces += map(decode, lines)
    read = sum(len(piece["lines"]) for piece in pieces)
    lost = sum(piece["lost"] for piece in pieces)
    assert lost > 10_000
    assert read + lost == 1 + 300 * 100 + 1


async def test_a_follower_that_disconnects_is_forgotten(
    path: Path, ring: Output, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.supervisor.logs.KEEP_ALIVE", 0.05)

    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "logs", "follow": True}))
        await until("it follows", lambda: ring.waiting_readers)
    await until("nobody follows", lambda: not ring.waiting_readers)
