"""Canaries and previews in words."""

from blue_green.cli import display, trial_text
from blue_green.cli.terminal import Style
from blue_green.config.command_line import to_decide
from tests.support.answers import status

WIDE = Style(width=160)
CANARY = {
    "kind": "canary",
    "revision": "b" * 40,
    "percent": 12.5,
    "seconds_left": 130.0,
    "to_decide": to_decide("shop"),
}
RESULTS = {"requests": 40, "failed": 2, "p50": 0.01, "p95": 0.2}


def test_a_canary_says_how_many_clients_it_is_for_and_how_long_it_lasts() -> None:
    assert trial_text.line(CANARY) == (
        "for 12.5% of the clients, 2 min 10 s left: blue-green promote --site shop makes it live, "
        "blue-green abort --site shop ends it"
    )


def test_a_preview_says_whom_it_is_for() -> None:
    preview = {**CANARY, "kind": "preview", "percent": 0.0, "seconds_left": 7300.0}
    assert trial_text.line(preview).startswith("for those with the secret link, 2 h 2 min left: ")


def test_the_status_has_the_results_of_both_releases() -> None:
    slot = {"slot": "green", "ports": [2], "pids": [7], "since": None, "results": RESULTS}
    swap = {"revision": "b" * 40, "asked_by": "swap", "phase": "canary", "phase_seconds": 3.0}
    result = status(
        swap={**swap, "total_seconds": 4.0, "seconds": {}}, candidate=slot, trial=CANARY
    )
    lines = [line.strip() for line in display.status(result, WIDE)]
    assert "canary in green, port 2, pid 7" in lines
    assert "40 requests, 5.0% failed, p50 10 ms, p95 200 ms" in lines
    assert f"canary  {trial_text.line(CANARY)}" in lines


def test_the_links_of_a_preview_are_on_lines_of_their_own() -> None:
    result = {
        "revision": "b" * 40,
        "links": ["http://x/1", "http://y/1"],
        "seconds_left": 14400,
        "to_decide": to_decide(""),
    }
    lines = trial_text.preview(result).split("\n")
    assert lines[0] == "preview of bbbbbbb for 4 h: whoever opens this link sees it, and"
    assert lines[2:4] == ["  http://x/1", "  http://y/1"]
    assert lines[4] == "blue-green promote makes it live, blue-green abort ends it"
