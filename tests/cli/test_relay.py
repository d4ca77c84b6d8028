"""A command on a terminal of its own, from an interactive shell that a person types into."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import TypedTerminal, shell

RELAYED = """\
import os, signal, sys
from blue_green.cli import relay

def start():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])

sys.exit(relay.run(start))
"""
COMMANDS = {
    "waits": "import time; print('it', 'waits', flush=True); time.sleep(60)",
    "asks": "print('it', 'asks', flush=True); print('it got', input())",
    "prompts": "import getpass; print('it got', getpass.getpass('it' + ' prompts: '))",
    "measures": """\
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: print("size", *os.get_terminal_size(), flush=True))
print("it", "measures", flush=True)
time.sleep(60)
""",
    "handles": """\
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: (print("it", "handles", flush=True), sys.exit(3)))
print("it", "waits", flush=True)
time.sleep(60)
""",
    "injects": """\
import fcntl, os, sys, termios
for number in (0, 1, 2):
    try:
        fcntl.ioctl(number, termios.TIOCSTI, b"#")
    except OSError as error:
        print(error)
print(sorted({os.ttyname(number) for number in (0, 1, 2)}))
""",
}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[TypedTerminal]:
    """`$R COMMAND` relays a command; the scripts above are in this directory."""
    (tmp_path / "relayed.py").write_text(RELAYED)
    for name, text in COMMANDS.items():
        (tmp_path / name).write_text(f"#!{sys.executable}\n{text}")
        (tmp_path / name).chmod(0o755)
    with shell(tmp_path, R=f"{sys.executable} relayed.py") as terminal:
        yield terminal


def test_the_exit_status_and_the_mode_of_the_terminal_are_as_before(
    terminal: TypedTerminal,
) -> None:
    terminal.type("$R sh -c 'exit 7'; echo =$?=\r")
    terminal.until("=7=")
    terminal.until(r"\$ $")
    before = terminal.modes()
    terminal.type("$R ./waits\r")
    terminal.until("it waits")
    terminal.type("\x03")
    terminal.until(r"\$ $")
    terminal.type("echo =$?=\r")
    terminal.until("=130=")
    terminal.until(r"\$ $")
    assert terminal.modes() == before


def test_a_command_can_be_stopped_and_continued(terminal: TypedTerminal) -> None:
    terminal.type("$R ./asks\r")
    terminal.until("it asks")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.until(r"\$ $")
    terminal.type("fg\r")
    terminal.until("asks\r\n")
    terminal.type("hello\r")
    terminal.until("it got hello")


def test_a_command_has_another_terminal_and_cannot_type_into_ours(terminal: TypedTerminal) -> None:
    terminal.type("tty; $R ./injects; tty\r")
    ours, others = terminal.until(r"(/dev/pts/\d+)[^[]*(\[.*\])").groups()
    assert ours not in others
    terminal.until(rf"{ours}\r\n\$ $")  # Nothing was typed for the shell.


@pytest.mark.long
def test_a_command_hears_that_the_window_has_another_size(terminal: TypedTerminal) -> None:
    terminal.resize(20, 70)
    terminal.type("$R ./measures\r")
    terminal.until("it measures")
    terminal.resize(33, 99)
    terminal.until("size 99 33")
    terminal.type("\x03")
    terminal.until(r"\$ $")


@pytest.mark.long
def test_an_interactive_shell_has_job_control(terminal: TypedTerminal) -> None:
    terminal.type("$R env PS1='inner> ' bash --norc --noprofile -i\r")
    terminal.until("inner> $")
    terminal.type("./waits\r")
    terminal.until("it waits")
    terminal.type("\x1a")
    terminal.until(r"Stopped[\s\S]*inner> $")
    terminal.type("fg\r")
    terminal.until("waits\r\n")
    terminal.type("\x03")
    terminal.until("inner> $")
    terminal.type("exit 5\r")
    terminal.until(r"\$ $")
    terminal.type("echo =$?=\r")
    terminal.until("=5=")


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("$R seq 100000 | tail -1", "\n100000\r\n=0 0="),
        ("$R seq 1000000 | head -1", "\n1\r\n=141 0="),
        ("seq 1000 | $R wc -l", "\n1000\r\n=0 0="),
        ("$R sh -c 'echo to stderr >&2' | cat", "\nto stderr\r\n=0 0="),
    ],
)
def test_pipes_are_those_of_the_command(terminal: TypedTerminal, line: str, shown: str) -> None:
    terminal.type(f"{line}; echo =${{PIPESTATUS[*]}}=\r")
    terminal.until(shown)


@pytest.mark.long
def test_a_command_in_a_pipeline_gets_the_terminal_once_it_reads_from_it(
    terminal: TypedTerminal,
) -> None:
    terminal.type("$R ./prompts | cat\r")
    terminal.until("it prompts: ")
    terminal.type("a secret\r")
    found = terminal.until("it got a secret")
    assert "secret" not in found.string[: found.start()]


@pytest.mark.long
def test_a_command_without_the_terminal_on_its_descriptors_still_has_one_of_its_own(
    terminal: TypedTerminal,
) -> None:
    asks = "echo prompt: >/dev/tty; read a </dev/tty; echo got $a"
    terminal.type(f"$R sh -c '{asks}' </dev/null 2>&1 | cat\r")
    terminal.until("\\nprompt:")
    terminal.type("hello\r")
    terminal.until("got hello")


@pytest.mark.long
def test_the_keyboard_interrupts_and_stops_a_whole_pipeline(terminal: TypedTerminal) -> None:
    terminal.type("$R ./waits | cat\r")
    terminal.until("it waits")
    terminal.type("\x1a")
    terminal.until(r"Stopped[\s\S]*\$ $")
    terminal.type("fg\r")
    terminal.until("cat\r\n")
    terminal.type("\x03")
    terminal.until(r"\$ $")


@pytest.mark.long
def test_a_command_in_the_background_gets_the_keys_once_it_is_in_the_foreground(
    terminal: TypedTerminal,
) -> None:
    terminal.type("$R ./asks &\r")
    terminal.until("it asks")
    terminal.type("jobs\r")
    terminal.until("Running")
    terminal.type("fg\r")
    terminal.until("asks\r\n")
    terminal.type("hello\r")
    terminal.until("it got hello")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "number", "status"),
    [("waits", "TERM", 143), ("waits", "KILL", 137), ("handles", "USR1", 3)],
)
def test_a_signal_to_us_is_one_to_the_command(
    terminal: TypedTerminal, name: str, number: str, status: int
) -> None:
    terminal.type(f"$R ./{name} & pid=$!\r")
    terminal.until("it waits")
    terminal.type(f"kill -{number} $pid; wait $pid; echo =$?=\r")
    terminal.until(f"={status}=")
