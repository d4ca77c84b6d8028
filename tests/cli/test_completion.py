"""Completion, tried in the shells themselves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from blue_green.cli import COMMANDS
from blue_green.cli.completion_words import words_of
from tests.support.command import answering
from tests.waiting import PATIENCE

needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")


def run(*argv: str, cwd: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        argv,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "PATH": path},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def script(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The script for the shell that the test names."""
    path = tmp_path / "completion"
    words = [sys.executable, "-m", "blue_green", "completion", request.param]
    path.write_text(run(*words, cwd=tmp_path))
    return path


# As bash does when somebody presses Tab; `compopt` works only then.
BASH = """
source ./completion
compopt() { :; }
[[ $(complete -p blue-green) == *"-F _blue_green blue-green" ]] || exit 1
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "blue-green $line"
    [[ -z $line || $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
    _blue_green
    ( IFS='|'; echo "${COMPREPLY[*]}" )
done < typed
"""
PROCESSES = {
    "event": "result",
    "sites": {"blog": {"processes": [{"name": "worker"}, {"name": "beat"}]}, "shop": {}},
}
REVISIONS = {"event": "result", "names": ["main", "origin/main", "v1.4"]}
SITES = {"event": "result", "sites": {"blog": {}, "shop": {}, "$(oops)": {}}}

(_maintenance,) = [command for command in COMMANDS if command.name == "maintenance"]
MAINTENANCE = [
    name
    for option in words_of("maintenance", "", (), _maintenance.arguments).options
    for name in option.names
]
TYPED = {
    "sta": ["status"],
    "": [
        *(command.name for command in COMMANDS), "--help", "--version",
    ],
    "swap --re": ["--rebuild", "--retry"],
    "swap --retry --no": ["--no-wait"],
    "logs g": ["green"],
    "logs --follow b": ["blue", "build"],
    "logs --count ": [],
    "completion ": ["bash", "zsh", "fish", "-h", "--help"],
    "status --config sup": ["supervisor.toml"],
    "status --socket ": ["a b.sock", "completion", "supervisor.toml"],
    "run sup": ["supervisor.toml"],
    "check sup": ["supervisor.toml"],
    "init --host ": [],
    "run --": ["--help"],
    "nonsense ": [],
    "maintenance ": ["on", "off", *MAINTENANCE],
    "maintenance --message x o": ["off", "on"],
    "maintenance on ": MAINTENANCE,
    "logs green b": [],
}  # fmt: skip


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_commands_options_slots_and_files(tmp_path: Path, script: Path) -> None:
    (tmp_path / "supervisor.toml").touch()
    (tmp_path / "a b.sock").touch()
    (tmp_path / "typed").write_text("".join(f"{line}\n" for line in TYPED))
    answers = run("bash", "--norc", "-c", BASH, cwd=tmp_path).splitlines()
    found = {
        line: sorted(set(filter(None, answer.split("|"))) - {"typed"})
        for line, answer in zip(TYPED, answers, strict=True)
    }
    assert found == {line: sorted(words) for line, words in TYPED.items()}


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_the_names_of_sites(tmp_path: Path, script: Path) -> None:
    lines = ["swap --socket s --site b", "status --socket s ", "status --socket s --site ", "logs "]
    lines.append("check --socket s --site ")
    (tmp_path / "typed").write_text("".join(f"{line}\n" for line in lines))
    with answering(tmp_path / "s", SITES, SITES, SITES, SITES, each=True):
        answers = run("bash", "--norc", "-c", BASH, cwd=tmp_path).splitlines()
    swap, plain, named, logs, check = answers
    assert (swap, named, check) == ("blog", "blog|shop", "blog|shop")
    assert {"blog", "shop", "--watch"} < set(plain.split("|"))
    assert "blog" not in logs


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_the_names_of_processes(tmp_path: Path, script: Path) -> None:
    lines = ["logs --socket s w", "logs --socket s --follow ", "restart --socket s --process b"]
    (tmp_path / "typed").write_text("".join(f"{line}\n" for line in lines))
    with answering(tmp_path / "s", PROCESSES, PROCESSES, PROCESSES, each=True):
        first, every, restart = run("bash", "--norc", "-c", BASH, cwd=tmp_path).splitlines()
    assert (first, restart) == ("worker", "beat")
    assert {"worker", "beat", "green"} < set(every.split("|"))


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_revisions_of_the_site_that_was_named(tmp_path: Path, script: Path) -> None:
    (tmp_path / "typed").write_text("swap --socket s --site shop v\n")
    with answering(tmp_path / "s", REVISIONS) as asked:
        assert run("bash", "--norc", "-c", BASH, cwd=tmp_path) == "v1.4\n"
    assert json.loads(asked[0])["site"] == "shop"


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_without_a_supervisor_completion_prints_nothing(tmp_path: Path, script: Path) -> None:
    (tmp_path / "typed").write_text("swap --socket nobody --site \n")
    assert run("bash", "--norc", "-c", BASH, cwd=tmp_path) == "\n"


@needs_zsh
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_reads_its_script(tmp_path: Path, script: Path) -> None:
    load = "autoload -U compinit; compinit -D -u; source ./completion; echo $_comps[blue-green]"
    assert run("zsh", "-f", "-c", load, cwd=tmp_path) == "_blue_green\n"


@needs_zsh
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes_the_names_of_sites(tmp_path: Path, script: Path) -> None:
    # `compadd` works only while somebody presses Tab.
    ask = """
        autoload -U compinit; compinit -D -u; source ./completion
        compadd() { print -l -- "$@" }
        words=(swap --socket s --site ''); CURRENT=5; program=blue-green
        _blue_green_sites
    """
    with answering(tmp_path / "s", SITES):
        assert run("zsh", "-f", "-c", ask, cwd=tmp_path) == "--\nblog\nshop\n"
    assert ":site:_blue_green_sites" in script.read_text()


@needs_fish
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes_the_names_of_sites(tmp_path: Path, script: Path) -> None:
    lines = ["swap --socket s --site b", "status --socket s sh"]
    ask = "; ".join(f"complete -C 'blue-green {line}'" for line in lines)
    with answering(tmp_path / "s", SITES, SITES, each=True):
        found = run("fish", "--no-config", "-c", f"source ./completion; {ask}", cwd=tmp_path)
    assert [line.split("\t")[0] for line in found.splitlines()] == ["blog", "shop"]


@needs_fish
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes_the_names_of_processes(tmp_path: Path, script: Path) -> None:
    ask = "source ./completion; complete -C 'blue-green logs --socket s w'"
    with answering(tmp_path / "s", PROCESSES):
        found = run("fish", "--no-config", "-c", ask, cwd=tmp_path)
    assert [line.split("\t")[0] for line in found.splitlines()] == ["worker"]


@needs_zsh
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes_the_names_of_processes(tmp_path: Path, script: Path) -> None:
    ask = """
        autoload -U compinit; compinit -D -u; source ./completion
        compadd() { print -l -- "$@" }
        words=(logs --socket s ''); CURRENT=4; program=blue-green
        _blue_green_processes
    """
    with answering(tmp_path / "s", PROCESSES):
        assert run("zsh", "-f", "-c", ask, cwd=tmp_path) == "--\nworker\nbeat\n"
    assert "; _blue_green_processes}" in script.read_text()


@needs_zsh
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes_revisions_of_the_site_that_was_named(tmp_path: Path, script: Path) -> None:
    ask = """
        autoload -U compinit; compinit -D -u; source ./completion
        compadd() { print -l -- "$@" }
        words=(swap --socket s --site shop ''); CURRENT=6; program=blue-green
        _blue_green_revisions
    """
    with answering(tmp_path / "s", REVISIONS) as asked:
        assert run("zsh", "-f", "-c", ask, cwd=tmp_path) == "--\nmain\norigin/main\nv1.4\n"
    assert json.loads(asked[0])["site"] == "shop"
    assert "1:revision:_blue_green_revisions" in script.read_text()


@needs_fish
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes_revisions_of_the_site_that_was_named(tmp_path: Path, script: Path) -> None:
    ask = "source ./completion; complete -C 'blue-green swap --socket s --site shop o'"
    with answering(tmp_path / "s", REVISIONS) as asked:
        found = run("fish", "--no-config", "-c", ask, cwd=tmp_path)
    assert [line.split("\t")[0] for line in found.splitlines()] == ["origin/main"]
    assert json.loads(asked[0])["site"] == "shop"


@needs_fish
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_offers_the_values_of_an_argument_only_once(tmp_path: Path, script: Path) -> None:
    lines = ["maintenance --message x o", "maintenance on o", "logs g", "logs blue g"]
    ask = "; ".join(f"complete -C 'blue-green {line}'; echo ." for line in lines)
    found = run("fish", "--no-config", "-c", f"source ./completion; {ask}", cwd=tmp_path)
    assert [line.split("\t")[0] for line in found.splitlines()] == [
        *("off", "on", "."), ".", *("green", "."), ".",
    ]  # fmt: skip


@pytest.mark.parametrize("script", ["bash", "zsh", "fish"], indirect=True)
def test_no_script_has_the_percent_signs_of_argparse(script: Path) -> None:
    assert "%%;" not in script.read_text()


@needs_fish
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes_commands_and_slots(tmp_path: Path, script: Path) -> None:
    ask = "source ./completion; complete -C 'blue-green sta'; complete -C 'blue-green logs g'"
    commands, slots = run("fish", "--no-config", "-c", ask, cwd=tmp_path).splitlines()
    assert (commands.split("\t")[0], slots.split("\t")[0]) == ("status", "green")
