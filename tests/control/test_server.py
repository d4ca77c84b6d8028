"""The control socket: one request per client, and no client affects another."""

import json
import logging
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define

from blue_green.control import client, server
from blue_green.control.messages import MAX_LINE, decode, encode
from tests.support.control import ask
from tests.waiting import PATIENCE, until

LONGEST_PATH = 107
"""In bytes: unix(7)."""


@define
class Greeting:
    name: str | None = None
    loud: bool = False
    times: float = 1.0


class Commands:
    """Commands made up for these tests, and what they saw."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.go_on = trio.Event()
        self.ended: list[str] = []

    async def greet(self, greeting: Greeting, tell: server.Send) -> dict[str, Any]:
        await tell({"event": "phase", "phase": "thinking"})
        return {"text": f"hello {greeting.name}", "times": greeting.times}

    async def refuse(self, _: Greeting, __: server.Send) -> dict[str, Any]:
        raise server.Refusal("not today")

    async def fail(self, _: Greeting, __: server.Send) -> dict[str, Any]:
        raise RuntimeError("a bug of ours")

    async def wait(self, _: Greeting, tell: server.Send) -> dict[str, Any]:
        self.begun.set()
        await self.go_on.wait()
        try:
            await tell({"event": "phase", "phase": "after the wait"})
        finally:
            self.ended.append("wait")
        return {}

    @property
    def table(self) -> Mapping[str, server.Operation]:
        handlers = (self.greet, self.refuse, self.fail, self.wait)
        return {handle.__name__: server.Operation(Greeting, handle) for handle in handlers}


@pytest.fixture
async def commands(path: Path, nursery: trio.Nursery) -> AsyncIterator[Commands]:
    """A server at work on `path`."""
    made = Commands()
    with server.listening(path) as sock:
        nursery.start_soon(server.serve, sock, made.table)
        yield made
        nursery.cancel_scope.cancel()


async def send(path: Path, data: bytes, *, then_close: bool = True) -> dict[str, Any]:
    """Send these very bytes; what is answered, which is one object."""
    async with await trio.open_unix_socket(path) as stream:
        with trio.fail_after(PATIENCE):
            try:
                await stream.send_all(data)
                if then_close:
                    await stream.send_eof()
            except trio.BrokenResourceError:
                pass  # It has heard enough; what it says to that can still be read.
            answer = b""
            while not answer.endswith(b"\n"):
                more = await stream.receive_some()
                assert more, f"the answer ends with {answer!r}"
                answer += more
    return decode(answer)


async def still_serves(path: Path) -> bool:
    answer = await ask(path, command="greet", name="again")
    return bool(answer[-1]["text"] == "hello again")


# --- a request ------------------------------------------------------------------------------


async def test_a_command_answers_with_events_and_a_result(path: Path, commands: Commands) -> None:
    assert await ask(path, command="greet", name="you", times=2) == [
        {"event": "phase", "phase": "thinking"},
        {"event": "result", "text": "hello you", "times": 2},
    ]


async def test_a_refusal_is_answered_as_such_and_not_as_wrong_usage(
    path: Path, commands: Commands
) -> None:
    answer = await ask(path, command="refuse")
    assert answer == [{"event": "error", "error": "not today", "usage": False}]


BAD_LINES = {
    "nothing": (b"", "the line is incomplete"),
    "an empty line": (b"\n", "not a line of JSON"),
    "half a line": (b'{"command": "gre', "the line is incomplete"),
    "garbage": (b"\x00\xff\xfe GET / HTTP/1.1\r\n", "not a line of JSON"),
    "not UTF-8": (b'{"command": "caf\xe9"}\n', "not a line of JSON"),
    "no object": (b'["greet"]\n', "not a JSON object"),
    "a megabyte": (b"x" * 2**20 + b"\n", "too long"),
    "a long line": (encode({"command": "greet", "name": "x" * 4 * MAX_LINE}), "too long"),
    "deeply nested": (b"[" * 30_000 + b"\n", "not a line of JSON"),
    "no command": (b"{}\n", "there is no command None; there are: greet, refuse, fail, wait"),
    "an unknown command": (b'{"command": "sing"}\n', "there is no command 'sing'"),
    "a command of another type": (b'{"command": ["greet"]}\n', "there is no command"),
    "an unknown argument": (b'{"command": "greet", "colour": "red"}\n', "colour"),
    "a number for text": (b'{"command": "greet", "name": 5}\n', "5 should be of type str"),
    "text for a truth": (b'{"command": "greet", "loud": "yes"}\n', "should be of type bool"),
    "a number for a truth": (b'{"command": "greet", "loud": 1}\n', "should be of type bool"),
    "a truth for a number": (b'{"command": "greet", "times": true}\n', "should be of type float"),
    "text for a number": (b'{"command": "greet", "times": "1"}\n', "should be of type float"),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
async def test_an_invalid_request_is_answered_with_the_reason(
    path: Path, commands: Commands, line: bytes, said: str
) -> None:
    answer = await send(path, line)
    assert (answer["event"], answer["usage"]) == ("error", True)
    assert said in answer["error"]
    assert await still_serves(path)


async def test_a_silent_client_is_disconnected_after_a_timeout(
    path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.2)
    answer = await send(path, b'{"command": ', then_close=False)
    assert answer["error"] == "the line is incomplete"


async def test_a_silent_client_does_not_delay_others(path: Path, commands: Commands) -> None:
    async with await trio.open_unix_socket(path):
        assert await still_serves(path)


async def test_a_request_may_arrive_in_pieces(path: Path, commands: Commands) -> None:
    async with await trio.open_unix_socket(path) as stream:
        for byte in encode({"command": "greet", "name": "slow"}):
            await stream.send_all(bytes([byte]))
        answer = b"".join([some async for some in stream])
    assert json.loads(answer.splitlines()[-1])["text"] == "hello slow"


async def test_a_command_continues_when_its_client_disconnects(
    path: Path, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(encode({"command": "wait"}))
        await commands.begun.wait()
    commands.go_on.set()
    await until("the command has ended", lambda: commands.ended)
    assert await still_serves(path)
    assert caplog.messages == [], "a client that goes away is nothing to complain about"


async def test_an_unhandled_exception_is_logged_and_reported_and_the_server_goes_on(
    path: Path, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = await ask(path, command="fail")
    assert (answer["event"], answer["usage"]) == ("error", False)
    assert "a bug of ours" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert await still_serves(path)


def listen(path: Path) -> None:
    """Listen there for a moment."""
    with server.listening(path):
        pass


# --- the socket -----------------------------------------------------------------------------


async def test_only_our_own_user_may_connect(path: Path, commands: Commands) -> None:
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_stale_socket_is_replaced(path: Path, nursery: trio.Nursery) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    with server.listening(path) as sock:
        nursery.start_soon(server.serve, sock, Commands().table)
        assert await still_serves(path)
        nursery.cancel_scope.cancel()


async def test_a_live_socket_is_not_replaced(path: Path, commands: Commands) -> None:
    with pytest.raises(server.ControlSocketError, match=r"\[control\] socket: "):
        listen(path)
    assert await still_serves(path)


def test_a_file_in_place_of_the_socket_is_not_deleted(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(server.ControlSocketError, match=str(path)):
        listen(path)
    assert path.read_text() == "precious"


def test_a_directory_in_place_of_the_socket_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(server.ControlSocketError, match=str(path)):
        listen(path)


def test_a_missing_directory_is_named(path: Path) -> None:
    with pytest.raises(server.ControlSocketError, match="No such file"):
        listen(path.with_name("sub") / "s")


def test_a_path_that_is_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    long = tmp_path / ("x" * LONGEST_PATH)
    with pytest.raises(server.ControlSocketError, match=f"{LONGEST_PATH} bytes"):
        listen(long)
    with pytest.raises(client.NoSupervisor, match="too long"):
        list(client.ask(client.ControlSocket(long), {}))


def test_the_longest_possible_path_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listen(Path("ü" * (LONGEST_PATH // 2)))
    assert list(tmp_path.iterdir()) == [], "it is removed when it is closed"
