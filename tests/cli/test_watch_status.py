"""`status --watch` and the progress of a swap, in a real terminal."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define

from blue_green.cli.terminal import columns
from blue_green.control import server
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.system.output import Output
from tests.support.answers import LIVE, status
from tests.support.repository import git_of
from tests.support.screen import on_screen
from tests.support.site import RealSite
from tests.waiting import until

TOP, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""To the screen that is ours for a while, and back to what was there before."""


@define
class Nothing:
    pass


@asynccontextmanager
async def supervisor(path: Path, **differing: Any) -> AsyncIterator[dict[str, Any]]:
    """Answers `status` with what is given, while the block lasts; it can be changed."""
    answer = status(**differing)

    async def tell(_: Nothing, __: server.Send) -> dict[str, Any]:
        return answer

    with server.listening(path) as sock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, sock, {"status": server.Operation(Nothing, tell)})
            yield answer
            nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def watched(path: Path) -> tuple[str, ...]:
    return ("status", "--watch", "--socket", str(path))


async def test_the_screen_follows_the_status_and_ends_with_interrupt(path: Path) -> None:
    async with supervisor(path) as answer, on_screen(*watched(path)) as screen:
        await screen.until_drawn("● blog is serving")
        answer["phase"] = "paused"
        await screen.until_drawn("● blog is paused")
        assert "\x1b[1;33mpaused" in screen.raw
        screen.type("\x03")
        assert await screen.ended() == 0
        assert screen.raw.startswith(TOP)
        assert LEAVE in screen.raw
        assert "Traceback" not in screen.text


async def test_the_screen_fits_when_the_terminal_is_resized(path: Path) -> None:
    async with supervisor(path, problem="a long reason " * 9), on_screen(*watched(path)) as screen:
        await screen.until_drawn("^C to exit")
        for rows, width in ((10, 44), (24, 70)):
            before = len(screen.raw)
            screen.resize(rows, width)

            def drawn(width: int = width, before: int = before) -> bool:
                lines = screen.frame.splitlines()
                return len(screen.raw) > before and [columns(line) for line in lines][:1] == [width]

            await until(f"it is {width} columns wide", drawn)
            assert screen.frame.startswith("● blog is serving")
            await until(
                "all lines are drawn", lambda rows=rows: len(screen.frame.splitlines()) == rows
            )
            assert {columns(line) for line in screen.frame.splitlines()} == {width}


async def test_the_screen_waits_for_a_supervisor_that_went_away(path: Path) -> None:
    async with on_screen(*watched(path)) as screen:
        async with supervisor(path):
            await screen.until_drawn("● blog is serving")
        await screen.until_drawn("○ no answer from the supervisor")
        assert "blog" not in screen.frame, "what was true before is not shown as if it still were"
        async with supervisor(path):
            await screen.until_drawn("● blog is serving")


async def test_no_color_is_respected(path: Path) -> None:
    async with supervisor(path), on_screen(*watched(path), NO_COLOR="1") as screen:
        await screen.until_drawn("^C to exit")
        assert "\x1b[1;" not in screen.raw
        assert "\x1b[3" not in screen.raw


async def test_a_dumb_terminal_gets_changes_as_plain_lines(path: Path) -> None:
    async with supervisor(path) as answer, on_screen(*watched(path), TERM="dumb") as screen:
        await screen.until_shown("● blog is serving")
        answer["held"] = 17
        await screen.until_shown("17 held")
        screen.type("\x03")
        assert await screen.ended() == 0
        assert "\x1b" not in screen.raw


async def test_json_output_is_one_object_per_line(path: Path) -> None:
    async with supervisor(path), on_screen(*watched(path), "--json") as screen:
        await screen.until_shown("}\n")
        answer = json.loads(screen.text.splitlines()[0])
        assert (answer["phase"], answer["live"]["revision"]) == ("serving", LIVE)


async def test_output_is_followed_until_interrupt_or_until_the_supervisor_stops(
    path: Path, tmp_path: Path, nursery: trio.Nursery
) -> None:
    ring = Output()
    commands = {"logs": server.Operation(LogsArguments, Logs(ring, git_of(tmp_path), ()).run)}
    running = trio.CancelScope()

    async def serve() -> None:
        with server.listening(path) as sock, running:
            await server.serve(sock, commands)

    nursery.start_soon(serve)
    async with on_screen("logs", "-f", "--socket", str(path)) as screen:
        ring.take("blue", LIVE, ["one"], is_error=False)
        await screen.until_shown("blue 1111111 | one\n")
        ring.take("build", LIVE, ["two"], is_error=True)
        await screen.until_shown("build 1111111 | two\n")
        assert "\x1b[31mtwo" in screen.raw
        screen.type("\x03")
        assert await screen.ended() == 0
    async with on_screen("logs", "-f", "--socket", str(path)) as screen:
        await screen.until_shown("two\n")
        running.cancel()
        assert await screen.ended() == 1
        assert "blue-green: the supervisor has stopped\n" in screen.text


# --- a real site ----------------------------------------------------------------------------


async def test_a_swap_shows_its_progress_and_its_output_can_be_read_afterwards(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site(release={"build": ["sh", "-c", "echo compiling; echo careful >&2"]})
    first = site.commit("The first one")
    config = ("--config", str(site.config_file))
    async with site.running():
        bad = site.draft("A \x1b[31mbroken one", raises="no database")
        async with on_screen("swap", bad, *config) as screen:
            assert await screen.ended() == 1
        for text in (
            f"swap to {bad[:7]}\n",
            "  ✓ build ",
            f"failed {bad[:7]}  A \\x1b[31mbroken one\n",
            "    RuntimeError: no database\n",
        ):
            assert text in screen.text
        told = (await site.cli("status")).out
        assert f"  quarantine  {bad[:7]}  A " in told
        assert "last lines of output:\n" in told
        assert "  RuntimeError: no database\n" in told

        slow = site.draft("A slow one")
        barrier = site.put_up("start", slow)
        await site.ask("pause", seconds=20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/held")
            async with on_screen("swap", slow, *config) as screen:
                await screen.until_shown("1 request held")
                await screen.until_shown("probe")
                screen.type("\x03")
                assert await screen.ended() == 130
                assert "the swap continues" in screen.text
            seen = await site.status()
            assert seen["swap"]["revision"] == seen["wanted"] == slow
            assert (seen["why"], seen["head"]) == ("it is being deployed", first)
            assert {"checkout", "build"} <= seen["swap"]["seconds"].keys()
            assert seen["subjects"][slow] == "A slow one"
            barrier.unlink()
            await site.ask("resume")
        assert (await site.until_live(slow))["requests_per_second"] > 0

        told = (await site.cli("status")).out
        assert f"        live  {slow[:7]}  A slow one\n" in told
        assert f"        HEAD  {first[:7]}  The first one\n" in told
        assert f"{slow[:7]} was deployed since, triggered by blue-green swap\n" in told
        assert "quarantine" not in told, "it was tried before what is live now"
        assert "RuntimeError" not in told

        swaps = json.loads((await site.cli("history", "--json")).out)["swaps"]
        assert [(swap["revision"], swap["asked_by"], swap["outcome"]) for swap in swaps] == [
            (slow, "swap", "promoted"),
            (bad, "swap", "failed"),
            (first, "watch", "promoted"),
        ]
        told = (await site.cli("history", "-n", "1")).out
        assert f"  promoted    {slow[:7]}  A slow one\n" in told
        assert "  triggered by blue-green swap; held 1, longest " in told

        lines = (await site.cli("logs", slow[:7])).out.splitlines()
        assert sorted(line[13:] for line in lines) == [
            f"build {slow[:7]} | careful",
            f"build {slow[:7]} | compiling",
        ]
        told = (await site.cli("logs", "green", "-n", "1", "--json")).out
        line = json.loads(told)
        assert (line["source"], line["revision"], line["is_error"]) == ("green", bad, True)
        assert line["text"] == "RuntimeError: no database"
