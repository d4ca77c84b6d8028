"""What a terminal shows: fitted to its width, and free of control sequences from outside."""

import argparse
import io
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from blue_green.cli import display, moments, show, swap_results
from blue_green.cli.command import complain, say
from blue_green.cli.progress import CLEAR_LINE, Progress
from blue_green.cli.request import print_result
from blue_green.cli.terminal import Style, columns
from blue_green.config import change_text
from blue_green.system import log
from blue_green.system.printable import printable_line
from tests.support.answers import BAD, LIVE, NEW, ago, receipt, status

WIDE = Style(unicode=True, width=200)


class Terminal(io.StringIO):
    """A stream that says it is one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


# --- what a stream can show -----------------------------------------------------------------

TERMINALS = [
    (Terminal(), {"TERM": "xterm"}, (True, True)),
    (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, (True, True)),
    (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, (False, True)),
    (Terminal(), {"TERM": "dumb"}, (False, False)),
    (Terminal(), {}, (False, False)),
    (io.StringIO(), {"TERM": "xterm"}, (False, False)),
]


@pytest.mark.parametrize(("stream", "env", "expected"), TERMINALS)
def test_colours_and_animation_are_only_for_terminals_that_support_them(
    monkeypatch: pytest.MonkeyPatch,
    stream: io.StringIO,
    env: dict[str, str],
    expected: tuple[bool, bool],
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    style = Style.of(stream)
    assert (style.colour, style.can_redraw) == expected
    assert (style.width is not None) == stream.isatty()


def test_a_line_is_cut_at_the_width_of_the_terminal() -> None:
    assert Style(width=8).line("12345", ("6789", "red")) == "1234567~"
    assert Style(width=8, unicode=True).line("12345", "678") == "12345678"
    assert Style().line("x" * 500) == "x" * 500
    wide = Style(width=8, unicode=True).line("日本語の件名")
    assert (wide, columns(wide)) == ("日本語…", 7)


def test_colours_do_not_count_towards_the_width() -> None:
    assert Style(colour=True, width=4).line(("abcd", "bold red")) == "\x1b[1;31mabcd\x1b[0m"


def test_text_wraps_between_words() -> None:
    assert Style(width=30).wrapped(4, "it ended with exit status 1 before it was healthy") == [
        "    it ended with exit status",
        "    1 before it was healthy",
    ]
    assert Style(width=24).wrapped(0, "it took no more than 30 s") == [
        "it took no more than",
        "30 s",
    ]


# --- status ---------------------------------------------------------------------------------


def shown(result: dict[str, Any]) -> str:
    return "\n".join(display.status(result, WIDE))


def test_the_first_line_says_what_is_live() -> None:
    first, _, live, place, requests, *_ = display.status(status(), WIDE)
    assert first == "● blog is serving"
    assert live == "        live  1111111  Fix the footer"
    assert place.strip().startswith("blue, port 3000, pid 7, went live ")
    assert place.endswith(" (2 h ago)")
    assert requests == "    requests  12.3 per second, 4 in flight, 0 held"


def test_several_sockets_are_shown_with_their_directory_once() -> None:
    sockets = ["/var/lib/bg/sockets/blue/1.sock", "/var/lib/bg/sockets/blue/2.sock"]
    live = {"slot": "blue", "revision": LIVE, "ports": [], "pids": [7, 8], "since": ago(hours=2)}
    text = "\n".join(display.status(status(live={**live, "sockets": sockets}), Style()))
    assert "blue, sockets 1.sock, 2.sock in /var/lib/bg/sockets/blue, pid 7, 8, went live " in text


def test_both_releases_are_shown_with_their_results_during_a_soak() -> None:
    slot = {"slot": "blue", "revision": LIVE, "ports": [3000], "pids": [7], "since": ago(hours=2)}
    old = {**slot, "results": {"requests": 9, "failed": 0, "p50": 0.02, "p95": 0.2}}
    new = {**slot, "revision": NEW, "results": {"requests": 4, "failed": 1, "p50": 1.5, "p95": 3}}
    text = shown(status(live=new, draining=old))
    assert "\n              4 requests, 25% failed, p50 1.5 s, p95 3.0 s\n" in text
    assert "\n    draining  1111111  Fix the footer\n" in text
    assert "\n              9 requests, 0% failed, p50 20 ms, p95 200 ms\n" in text


def test_a_release_without_requests_is_shown_without_results() -> None:
    live = status()["live"]
    results = {"requests": 0, "failed": 0, "p50": None, "p95": None}
    assert shown(status(live={**live, "results": results})) == shown(status())


def test_a_reason_for_quarantine_has_its_steps_on_lines_of_their_own() -> None:
    text = shown(status(quarantined={BAD: "20 of 20 requests failed\nturn it off"}))
    assert "\n              20 of 20 requests failed\n              turn it off\n" in text


def test_a_checked_out_revision_that_is_not_live_is_shown_once_with_the_reason() -> None:
    why = "it is in quarantine: the app ended with exit status 1"
    text = shown(status(head=BAD, why=why, quarantined={BAD: "the app ended with exit status 1"}))
    assert f"        HEAD  bbbbbbb  Break it\n              {why}\n" in text
    assert "quarantine  " not in text
    assert text.count("bbbbbbb") == 1


def test_a_failure_is_shown_with_its_last_lines() -> None:
    lines = ["Traceback", "  no \x1b[31m such table"]
    differing = {"quarantined": {BAD: "exit status 1"}, "output": {BAD: lines}}
    for of_head in ({"head": BAD, "why": "it is in quarantine"}, {}):
        text = shown(status(**differing, **of_head))
        assert "last lines of output:\n                Traceback\n" in text
        assert "\n                  no \\x1b[31m such table\n" in text


STEPS = "a database would be left:\n1. link it\n2. blue-green reload"


def test_each_step_is_shown_once_on_a_line_of_its_own() -> None:
    last = receipt(outcome="failed", revision=BAD, reason=STEPS)
    text = shown(status(head=BAD, why=f"again in 2 s: {STEPS}", last_swap=last, last_swaps=[last]))
    stripped = [line.strip() for line in text.splitlines()]
    assert [stripped.count(step) for step in ("1. link it", "2. blue-green reload")] == [1, 1]
    for style in (WIDE, Style()):
        lines = [line.strip() for line in swap_results.receipt(last, style)]
        assert lines[1:3] == ["1. link it", "2. blue-green reload"] or lines[2:4] == [
            "1. link it",
            "2. blue-green reload",
        ]


def test_a_long_traceback_is_shown_by_its_end_and_where_to_find_the_rest() -> None:
    lines = [f"line {number}" for number in range(30)]
    shown = swap_results.receipt(receipt(outcome="failed", revision=BAD, output=lines), WIDE)
    at = shown.index("last lines of output (more: blue-green logs bbbbbbb):")
    assert [line.strip() for line in shown[at + 1 : at + 11]] == lines[20:]
    shown = swap_results.receipt(receipt(outcome="failed", revision=BAD, output=lines[:10]), WIDE)
    assert "last lines of output:" in shown


def test_where_to_find_the_rest_names_the_site_that_the_user_named() -> None:
    last = receipt(outcome="failed", revision=BAD, output=["line"] * 20)
    for site, command in ((None, "logs bbbbbbb"), ("blog", "logs --site blog bbbbbbb")):
        assert f"(more: blue-green {command})" in "\n".join(swap_results.receipt(last, WIDE, site))


def test_the_status_shows_the_addresses_and_the_settings_that_wait_for_a_restart() -> None:
    waiting = {
        "section": "proxy", "key": "listen", "old": ["127.0.0.1:8000"], "new": ["[::]:80"],
        "effect": "restart", "unit": "",
    }  # fmt: skip
    text = shown(status(addresses="127.0.0.1:8000", needs_restart=[waiting]))
    assert "   served on  127.0.0.1:8000\n" in text
    told = '[proxy] listen: ["127.0.0.1:8000"] -> ["[::]:80"], needs a restart of the supervisor'
    assert f"    settings  {told}\n" in text


def test_the_current_swap_is_shown_with_its_phases() -> None:
    swap = {
        "revision": NEW,
        "asked_by": "swap",
        "phase": "probe",
        "phase_seconds": 2.34,
        "total_seconds": 6.0,
        "seconds": {"build": 3.5},
    }
    text = shown(status(phase="swapping", step="probe", swap=swap, wanted=NEW, head=NEW))
    assert "● blog is swapping (probe)" in text
    assert "     swap to  ccccccc" in text
    assert "triggered by blue-green swap, build 3.5 s, probe 2.3 s ..." in text
    assert "wanted" not in text


def test_a_pause_during_maintenance_holds_only_those_who_are_admitted() -> None:
    closed = {"message": "", "since": ago(hours=2), "until": ago(hours=-1)}
    result = status(phase="paused", paused_for=42.0)
    text = shown({**result, "maintenance": {**closed, "allow": [], "has_link": True}})
    assert (
        "● blog is paused for 42 s more, in maintenance: requests that are admitted are held"
        in text
    )
    assert f"new requests get 503 until {moments.with_zone(ago(hours=-1))}, since" in text


def test_the_status_shows_what_is_wrong() -> None:
    text = shown(status(phase="paused", paused_for=41.6, problem="cannot pull: no", held=9))
    assert "● blog is paused for 42 s more: requests are held" in text
    assert "     problem  cannot pull: no" in text
    assert "9 held" in text
    text = shown(status(phase="failing", down="The site is down.", live=None, wanted=None))
    assert text.startswith("● blog is failing\n  The site is down.\n\n        live  nothing\n")


def test_text_from_outside_cannot_move_the_cursor() -> None:
    evil = "\x1b[2J\r\x9b31m\n\u202egood"
    last = receipt(subject=evil, reason=evil, outcome="failed")
    text = shown(status(problem=evil, subjects={LIVE: evil}, last_swaps=[last]))
    text += "\n".join(swap_results.receipt({**last, "output": [evil]}, WIDE))
    line = {"at": ago(), "source": "blue", "revision": LIVE, "is_error": False, "text": evil}
    text += show.output_line(line, WIDE)
    assert "good" in text
    assert all(character.isprintable() for character in text.replace("\n", ""))


@pytest.mark.parametrize("phase", display.COLOURS)
def test_colours_change_nothing_else_in_the_status(phase: str) -> None:
    result = status(phase=phase, problem="cannot pull: no\ntry again", held=9, head=BAD, why="no")
    coloured = "\n".join(display.status(result, Style(colour=True)))
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == "\n".join(display.status(result, Style()))


@pytest.mark.parametrize("width", [20, 40, 80])
def test_every_line_of_the_status_fits(width: int) -> None:
    long = "a rather long reason " * 20
    result = status(problem=long, head=BAD, why=long, last_swaps=[receipt(reason=long)] * 5)
    for line in display.status(result, Style(unicode=True, width=width)):
        assert columns(line) <= max(width, 34), line


def test_the_status_says_that_there_were_no_swaps_yet() -> None:
    assert swap_results.history([], WIDE) == ["no swaps yet"]


# --- a swap ---------------------------------------------------------------------------------

EVENTS: list[dict[str, Any]] = [
    {"event": "phase", "phase": "probe", "revision": NEW},
    {"event": "tick", "phase": "probe", "revision": NEW, "seconds": 0.25, "held": 0},
    {"event": "tick", "phase": "probe", "revision": NEW, "seconds": 0.5, "held": 12},
    {"event": "something newer"},
    {"event": "done", "phase": "probe", "revision": NEW, "seconds": 0.61},
    {"event": "tick", "phase": "probe", "revision": NEW, "seconds": 0.75, "held": 0},
]


def drawn(out: io.StringIO) -> str:
    progress = Progress(out, quiet=False)
    for event in EVENTS:
        progress.event(event)
    return out.getvalue()


def test_in_a_pipe_each_phase_is_a_line() -> None:
    assert drawn(io.StringIO()) == "swap to ccccccc\n  probe        0.61 s\n"


def test_on_a_terminal_the_current_phase_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert drawn(Terminal()).split(CLEAR_LINE) == [
        "swap to ccccccc\n",
        "  … probe         0.0 s",
        "  … probe         0.2 s",
        "  … probe         0.5 s  12 requests held",
        "  ✓ probe        0.61 s\n",
    ]


# --- all that is said -----------------------------------------------------------------------

HOSTILE = "sub\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\udcff"
SHOWN = r"sub\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\xff"


def test_the_log_contains_no_terminal_control_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    with file.open("w") as stderr, monkeypatch.context() as here:
        here.setattr(sys, "stderr", stderr)
        with log.to_stderr():
            logger = logging.getLogger("blue_green.test")
            logger.error("submodule %s: gone\nsecond %s", HOSTILE[:-1], HOSTILE[:-1])
            log.output("build 1234567", [printable_line(os.fsencode(HOSTILE))])
            log.request(f"request path={HOSTILE}", bare=True)
    written = file.read_text()
    assert (written.count(SHOWN), written.count(SHOWN[:-4])) == (2, 4), written
    assert written.replace("\n", "").isprintable()


def test_a_result_that_a_restart_would_forget_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"event": "result", "unsaved": "cannot write x: No space left on device"}
    assert print_result(argparse.Namespace(json=False), result, "paused") == 0
    out, err = capsys.readouterr()
    assert out == "paused\n"
    assert err == (
        "blue-green: this is in effect now, but a restart would forget it: "
        "cannot write x: No space left on device\n"
    )


def test_no_command_prints_terminal_control_sequences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = argparse.Namespace(json=False)
    change = {"section": "proxy", "key": "error_pages", "effect": "now"}
    assert complain(f"{HOSTILE}\n{HOSTILE}", 1) == 1
    print_result(plain, {"event": "result"}, HOSTILE)
    print_result(plain, {"event": "error", "error": HOSTILE, "usage": False}, "")
    print_result(argparse.Namespace(json=True), {"event": "result", "name": HOSTILE[:-1]}, "")
    say(f"{HOSTILE}\n{HOSTILE}")
    changes = [{**change, "old": None, "new": HOSTILE}]
    print_result(plain, {"event": "result"}, change_text.changes(changes))
    out, err = capsys.readouterr()
    assert (out.count(SHOWN), err.count(SHOWN)) == (3, 3), (out, err)
    assert (out + err).replace("\n", "").isprintable()
