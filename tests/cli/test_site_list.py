"""The status of several sites: a line for each, and what is wrong with it."""

from typing import Any

import pytest

from blue_green.cli import site_list
from blue_green.cli.terminal import Style, columns
from tests.support.answers import BAD, LIVE, NEW, ago, status

WIDE = Style(unicode=True, width=200)
BROKEN = {"phase": "broken", "problem": "/srv/api is not a git work tree\n1. git init"}


def several(**sites: dict[str, Any]) -> dict[str, Any]:
    return {"sites": sites, "supervisor": {"pid": 5, "version": "0.1.0", "since": ago(days=2)}}


def shown(result: dict[str, Any], style: Style = WIDE) -> list[str]:
    return site_list.status(result, style)


def test_each_site_has_a_line_and_the_columns_are_aligned() -> None:
    hosts = ["shop.example.com", "www.shop.example.com"]
    waits = status(phase="paused", paused_for=41.6, held=212, hosts=hosts, paths=["/api"])
    assert shown(several(blog=status(hosts=["blog.example.com"]), shop=waits))[:-2] == [
        "  site  phase        live     req/s  in flight  held  hosts                    commit",
        "● blog  serving      1111111   12.3          4     0  "
        "blog.example.com         Fix the footer",
        "● shop  paused 42 s  1111111   12.3          4   212  "
        "shop.example.com/api +1  Fix the footer",
    ]


def test_the_process_is_described_once() -> None:
    *_, blank, last = shown(several(blog=status(), shop=status()))
    assert (blank, last.startswith("  supervisor  pid 5, version 0.1.0, since ")) == ("", True)


def test_addresses_and_settings_that_wait_for_a_restart_are_shown_once() -> None:
    waiting = {
        "section": "proxy",
        "key": "listen",
        "old": ["127.0.0.1:8000"],
        "new": ["[::]:80"],
        "effect": "restart",
    }
    result = {**several(blog=status()), "addresses": "127.0.0.1:8000", "needs_restart": [waiting]}
    assert shown(result)[-3:-1] == [
        "   served on  127.0.0.1:8000",
        '    settings  [proxy] listen: ["127.0.0.1:8000"] -> ["[::]:80"], '
        "needs a restart of the supervisor",
    ]


def test_a_site_that_could_not_be_started_is_shown_with_the_reason() -> None:
    lines = shown(several(blog=status(), api=BROKEN))
    assert lines[2:4] == ["● api   broken", "    /srv/api is not a git work tree"]


def test_a_revision_that_is_not_live_is_shown_below_its_site() -> None:
    bad = status(head=BAD, why="it is in quarantine: exit status 1\n1. fix it")
    assert (
        shown(several(blog=bad))[2]
        == '    bbbbbbb "Break it" is not live: it is in quarantine: exit status 1'
    )


def test_a_revision_that_is_being_deployed_is_no_problem() -> None:
    swaps = status(phase="swapping", step="probe", head=NEW, wanted=NEW, swap={"revision": NEW})
    lines = shown(several(blog=swaps))
    assert lines[1].startswith("● blog  swapping (probe)  1111111  ")
    assert lines[2] == ""


def test_a_site_without_a_release_says_why_it_is_down() -> None:
    down = status(phase="failing", live=None, wanted=None, head=None, down="It crashed.")
    lines = shown(several(blog=status(**{**down, "problem": "cannot pull"})))
    assert lines[1].startswith("● blog  failing  nothing ")
    assert lines[2:4] == ["    It crashed.", "    cannot pull"]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_every_line_fits_a_narrow_terminal(width: int) -> None:
    long = status(problem="a rather long reason " * 9, hosts=["h" * 80], subjects={LIVE: "x" * 99})
    result = several(**{"n" * 60: long, "日本語": long, "api": BROKEN})
    for line in shown(result, Style(unicode=True, width=width)):
        assert columns(line) <= max(width, 24), line


def test_a_long_name_leaves_room_for_the_numbers_in_a_terminal_of_80_columns() -> None:
    waits = status(phase="swapping", step="checkout", held=212, hosts=["long.example.com"])
    result = several(**{"customer-portal-production-new": waits})
    assert shown(result, Style(unicode=True, width=80))[:2] == [
        "  site                    phase                live     req/s  in flight  held",
        "● customer-portal-produ…  swapping (checkout)  1111111   12.3          4   212",
    ]


def test_commits_are_left_out_where_there_is_no_room_for_them() -> None:
    result = several(blog=status(hosts=["a-rather-long-name.example.com"]))
    assert shown(result, Style(unicode=True, width=80))[:2] == [
        "  site  phase    live     req/s  in flight  held  hosts",
        "● blog  serving  1111111   12.3          4     0  a-rather-long-name.example.com",
    ]


def test_text_from_outside_cannot_move_the_cursor() -> None:
    evil = "\x1b[2J\r\u202egood"
    result = several(
        **{evil: status(problem=evil, subjects={LIVE: evil}, hosts=[evil]), "b": BROKEN}
    )
    assert "".join(shown(result)).isprintable()


def test_one_site_is_shown_in_full() -> None:
    assert shown(status())[:3] == ["● blog is serving", "", "        live  1111111  Fix the footer"]


def test_the_hosts_and_paths_of_one_site_are_shown_in_full() -> None:
    one = status(hosts=["blog.example.com", "*"], paths=["/api", "/v2"])
    hosts = "blog.example.com/api, blog.example.com/v2, */api, */v2"
    assert f"       hosts  {hosts}" in shown(one)


def test_hosts_are_left_out_where_all_requests_are_for_the_site() -> None:
    assert not [line for line in shown(status(hosts=["*"])) if "hosts" in line]


def test_a_broken_site_is_shown_with_all_steps_to_take() -> None:
    assert shown({**BROKEN, "name": "api"}) == [
        "● api is broken",
        "  /srv/api is not a git work tree",
        "  1. git init",
    ]
