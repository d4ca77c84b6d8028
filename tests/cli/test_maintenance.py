"""`maintenance` as a command, and what `status` says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from blue_green.cli import display, site_list
from blue_green.cli.terminal import Style
from blue_green.control.messages import encode
from tests.support.answers import ago, status
from tests.support.command import answering, cli
from tests.support.launch import Done

ON = {
    "message": "Moving house.",
    "since": ago(minutes=5),
    "until": None,
    "allow": ["192.0.2.0/24", "::1"],
    "has_link": True,
}
RESULT = {
    "event": "result",
    "was_on": False,
    "maintenance": ON,
    "until": "2026-11-27 21:00 CET",
    "links": ["https://x.org/maintenance-access/t"],
}
OFF = {**RESULT, "maintenance": None, "until": None, "links": []}
WIDE = Style(unicode=True, width=200)


def answer_to(directory: Path, *words: str, answer: dict[str, Any]) -> tuple[Done, Any]:
    with answering(directory / "s", answer) as asked:
        done = cli(directory, "maintenance", *words, "--socket", "s")
    return done, json.loads(b"".join(asked))


def test_on_says_until_when_and_who_is_admitted(tmp_path: Path) -> None:
    words = ["on", "--message", "Moving house.", "--until", "21:00", "--allow", "192.0.2.0/24"]
    done, asked = answer_to(tmp_path, *words, "--allow", "::1", "--secret", answer=RESULT)
    assert done == Done(
        0,
        "in maintenance until 2026-11-27 21:00 CET: new requests get 503\n"
        "admitted: 192.0.2.0/24, ::1\n"
        "message: Moving house.\n"
        "whoever opens this link is admitted, too:\n"
        "  https://x.org/maintenance-access/t\n",
        "",
    )
    assert asked == {
        "command": "maintenance",
        "do": "on",
        "message": "Moving house.",
        "until": "21:00",
        "allow": ["192.0.2.0/24", "::1"],
        "secret": True,
        "directory": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("word", "was_on", "text"),
    [
        ("off", True, "maintenance has ended\n"),
        ("off", False, "not in maintenance\n"),
        ("", False, "not in maintenance\n"),
    ],
)
def test_off_says_whether_there_was_any(tmp_path: Path, word: str, was_on: bool, text: str) -> None:
    answer = {**OFF, "was_on": was_on}
    done, asked = answer_to(tmp_path, *([word] if word else []), answer=answer)
    assert done == Done(0, text, "")
    assert asked["do"] == (word or "show")


def test_a_message_cannot_move_the_cursor(tmp_path: Path) -> None:
    answer = {**RESULT, "maintenance": {**ON, "message": "\x1b[2J\u202e"}}
    done, _ = answer_to(tmp_path, answer=answer)
    assert "\x1b" not in done.out and "\u202e" not in done.out


def test_options_of_on_are_refused_without_it(tmp_path: Path) -> None:
    for words in (["--until", "21:00"], ["off", "--secret"], ["off", "--until="]):
        done = cli(tmp_path, "maintenance", *words, "--socket", "nobody-there")
        assert done.code == 2
        assert "only with `blue-green maintenance on`" in done.err
    done = cli(tmp_path, "maintenance", "on", "--all", "--site", "x", "--socket", "nobody-there")
    assert done == Done(2, "", "blue-green: --all and --site exclude each other\n")


def test_all_sites_get_the_command_and_each_failure_is_reported(tmp_path: Path) -> None:
    sites = {"event": "result", "sites": {"blog": {}, "shop": {}}}
    refused = {"event": "error", "error": "shop does not run", "usage": False}
    with answering(tmp_path / "s", sites, OFF, refused, each=True) as asked:
        done = cli(tmp_path, "maintenance", "off", "--all", "--socket", "s")
    assert done == Done(1, "blog: not in maintenance\n", "blue-green: shop: shop does not run\n")
    request = {"command": "maintenance", "do": "off"}
    assert asked == [
        encode({"command": "status"}),
        encode({**request, "site": "blog"}),
        encode({**request, "site": "shop"}),
    ]


def test_the_status_says_so_and_never_has_the_link() -> None:
    text = "\n".join(display.status(status(maintenance=ON), WIDE))
    assert text.startswith(
        "● blog is serving, in maintenance\n  new requests get 503 until further"
    )
    assert (
        " min); admitted: 192.0.2.0/24, ::1, holders of the secret link; message: Moving"
        in " ".join(text.split())
    )
    text = "\n".join(display.status(status(maintenance=None), WIDE))
    assert "maintenance" not in text


def test_the_status_of_several_sites_says_so_beside_what_they_do() -> None:
    sites = {
        "blog": status(maintenance=ON),
        "shop": status(maintenance=ON, phase="paused", paused_for=41.6),
        "wiki": status(maintenance=None),
    }
    supervisor = {"pid": 5, "version": "0.1.0", "since": ago(days=2)}
    lines = site_list.status({"sites": sites, "supervisor": supervisor}, WIDE)
    phases = [line[8:].split("  ")[0] for line in lines[1:4]]
    assert phases == ["maintenance, serving", "maintenance, paused 42 s", "serving"]
