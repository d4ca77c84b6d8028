"""Command lines of a shell become commands without one, as far as they can."""

import subprocess

import pytest

from blue_green.preflight.init.shell_line import translate


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("bin/serve --port {port}", ("bin/serve", "--port", "{port}")),
        ("exec ./serve 'a b' \"c d\"", ("./serve", "a b", "c d")),
        ("LANG=C NAME='a b' ./serve", ("env", "LANG=C", "NAME=a b", "./serve")),
        (r"./serve a\ b --log=-", ("./serve", "a b", "--log=-")),
        ("./serve '$HOME *.txt; a'", ("./serve", "$HOME *.txt; a")),
        ("./serve a~b x#y", ("sh", "-c", "exec ./serve a~b x#y")),
        ("./serve $NAME", ("sh", "-c", "exec ./serve $NAME")),
        ('./serve "$NAME"', ("sh", "-c", 'exec ./serve "$NAME"')),
        ("./serve ~/data", ("sh", "-c", "exec ./serve ~/data")),
        ("./serve *.conf", ("sh", "-c", "exec ./serve *.conf")),
        ("A=$B ./serve", ("sh", "-c", "exec env A=$B ./serve")),
        ("./serve > log", ("sh", "-c", "exec ./serve > log")),
        ("cd web && ./serve", ("sh", "-c", "cd web && exec ./serve")),
        ("a && b && c d", ("sh", "-c", "a && b && exec c d")),
        ("./serve | tee log", ("sh", "-c", "./serve | tee log")),
        ("a; b", ("sh", "-c", "a; b")),
        ("a && (b)", ("sh", "-c", "a && (b)")),
        ("a || b", ("sh", "-c", "a || b")),
        ("a 2>&1", ("sh", "-c", "a 2>&1")),
        ("[[ a ]] && b", ("bash", "-c", "[[ a ]] && exec b")),
    ],
)
def test_a_shell_is_used_only_where_it_is_needed(line: str, command: tuple[str, ...]) -> None:
    assert translate(line).command == command


def test_programs_of_the_app_are_found_by_a_shell() -> None:
    assert translate("a | b", ".venv/bin").command[-1] == 'PATH="$PWD/.venv/bin:$PATH"; a | b'


@pytest.mark.parametrize(
    ("line", "notes"),
    [
        (
            "./serve $NAME ${OTHER} $HOME ${LIMIT:-5}",
            ["$NAME is a variable", "$OTHER is a variable"],
        ),
        ("./serve $(nproc)", ["$(...)"]),
        ("./worker & ./serve", ["in the background"]),
        ("a && b 2>&1", []),
        ("a &> log", []),
    ],
)
def test_what_may_surprise_is_noted(line: str, notes: list[str]) -> None:
    found = translate(line).notes
    assert len(found) == len(notes)
    assert all(note in one for note, one in zip(notes, found, strict=True))


@pytest.mark.parametrize("line", ["", "  ", "'open", "exec "])
def test_a_line_that_is_no_command_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"empty|quotation"):
        translate(line)


@pytest.mark.parametrize(
    "line",
    ["printf '%s,' a 'b c' \"d e\"", "A=1 sh -c 'printf $A'", "B=2; printf $B", "cd / && pwd",
     "printf 'x\\n' | cat", "printf \"a\\\"b\"", "A='x y' env printf %s ok",
     "printf %s $((1 + 2))"],
)  # fmt: skip
def test_the_command_does_what_the_line_does(line: str) -> None:
    def said(command: list[str]) -> bytes:
        return subprocess.run(command, capture_output=True, check=True).stdout

    assert said(list(translate(line).command)) == said(["sh", "-c", line])
