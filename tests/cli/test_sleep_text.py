"""Sleep in the status of a site."""

from datetime import UTC, datetime, timedelta
from typing import Any

from blue_green.cli import display, moments, site_list
from blue_green.cli.terminal import Style
from tests.support.answers import status

WIDE = Style(width=160)
SINCE = (datetime.now(UTC) - timedelta(minutes=3)).isoformat(timespec="seconds")
AWAKE = {
    "after": 1800, "state": "awake", "since": None, "wakes": 0, "failed_wakes": 0,
    "last_wake_seconds": None,
}  # fmt: skip
ASLEEP = {**AWAKE, "state": "asleep", "since": SINCE}


def _row(sleep: dict[str, Any] | None) -> str:
    lines = [line.strip() for line in display.status(status(sleep=sleep), WIDE)]
    return next((line for line in lines if line.startswith("sleep ")), "")


def test_a_site_that_never_sleeps_has_no_line_about_sleep() -> None:
    assert _row(None) == ""


def test_a_site_that_is_awake_says_when_it_falls_asleep() -> None:
    assert _row(AWAKE) == "sleep  awake, sleeps when nobody has used it for 30m"


def test_a_site_that_is_asleep_says_since_when_and_how_it_has_woken() -> None:
    woken = {**ASLEEP, "wakes": 2, "last_wake_seconds": 1.234, "failed_wakes": 1}
    assert _row(woken) == (
        f"sleep  asleep since {moments.since(SINCE)}, woken 2 times, the last wake took 1.2 s, "
        "failed to wake 1 time"
    )


def test_a_release_that_is_asleep_does_not_run() -> None:
    live = {**status()["live"], "pids": []}
    text = "\n".join(display.status(status(sleep=ASLEEP, live=live, phase="asleep"), WIDE))
    assert "blue, port 3000, not running, went live " in text


def test_a_failed_start_of_a_site_that_is_asleep_is_not_called_a_restart() -> None:
    live = {**status()["live"], "crash": "the app exited with status 1"}
    text = "\n".join(display.status(status(sleep=ASLEEP, live=live, phase="asleep"), WIDE))
    assert "it failed to wake: the app exited with status 1" in text


def test_a_process_of_a_site_that_is_asleep_is_asleep() -> None:
    worker: dict[str, Any] = {"name": "worker", "instances": [], "schedule": None, "restarts": 0}
    worker["last_run"] = None
    shown = "\n".join(display.status(status(sleep=ASLEEP, processes=[worker]), WIDE))
    assert "worker: asleep" in shown


def test_the_list_of_sites_shows_which_ones_are_asleep() -> None:
    sites = {"shop": status(phase="asleep", sleep=ASLEEP), "blog": status()}
    result = {**status(), "sites": sites, "addresses": "", "needs_restart": []}
    lines = site_list.status(result, WIDE)
    assert "asleep" in next(line for line in lines if "shop" in line)
