"""The command line, run as the real command."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from blue_green import __version__
from blue_green import cli as blue_green_cli
from blue_green.control.messages import encode
from tests.support.answers import status
from tests.support.command import answering, cli
from tests.support.launch import Done
from tests.support.repository import Repository
from tests.support.site import RealSite, free_ports

COMMANDS = [command.name for command in blue_green_cli.COMMANDS]
OTHERS = ("run", "init", "check", "trust", "unit", "completion", "accept-pushes", "receive")
CLIENTS = [name for name in COMMANDS if name not in OTHERS]
"""Commands that talk to a running supervisor."""
NEEDED = {"exec": ["true"]}
"""Arguments without which they are of no use."""


RESUMED = {"event": "result", "was_paused": True, "held": 0}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a supervisor.toml that could run, with other sections as given."""

    def write(name: str = "supervisor.toml", **sections: dict[str, Any]) -> Path:
        port, blue, green = free_ports(3)
        document: dict[str, dict[str, Any]] = {
            "app": {"command": ["true"], "ports": [blue, green]},
            "proxy": {"listen": [f"127.0.0.1:{port}"]},
        }
        for section, values in sections.items():
            document[section] = {**document.get(section, {}), **values}
        (tmp_path / name).write_text(tomli_w.dumps(document))
        return tmp_path / name

    return write


# --- help -----------------------------------------------------------------------------------


def test_version_prints_the_version(tmp_path: Path) -> None:
    assert cli(tmp_path, "--version") == Done(0, f"blue-green {__version__}\n", "")


def test_help_names_every_command_and_the_exit_statuses(tmp_path: Path) -> None:
    done = cli(tmp_path, "--help")
    assert done.code == 0
    for command in COMMANDS:
        assert re.search(rf"^ +{command} +\w+", done.out, re.MULTILINE)
    assert "exit status: 0 success" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(tmp_path: Path, command: str) -> None:
    done = cli(tmp_path, command, "--help")
    assert done.code == 0
    assert f"example: blue-green {command}" in done.out


@pytest.mark.parametrize(
    "words",
    [[], ["sing"], ["run", "a", "b"], ["status", "a", "b"], ["swap", "a", "b"], ["pause", "--for"]],
)
def test_wrong_usage_is_exit_status_2(tmp_path: Path, words: list[str]) -> None:
    done = cli(tmp_path, *words)
    assert (done.code, done.out) == (2, "")
    assert "usage: blue-green" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["{}"],
        ["status", "a", "{}"],
        ["status", "--{}"],
        ["maintenance", "{}"],
        ["swap", "--canary", "{}"],
        ["pause", "--for", "{}"],
        ["logs", "--count", "{}"],
        ["run", "{}"],
        ["check", "{}"],
        ["status", "--socket", "{}"],
        ["status", "--config", "{}"],
        ["init", "{}"],
        ["trust", "{}"],
        ["completion", "{}"],
    ],
    ids=" ".join,
)
def test_no_message_is_as_long_as_an_argument_may_be(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code: object = blue_green_cli.main([word.format("x" * 50_000) for word in words])
    except SystemExit as exit_:
        code = exit_.code
    out, err = capsys.readouterr()
    assert code in (1, 2, 3)
    assert "x" in out + err
    assert len(out + err) < 10_000


@pytest.mark.parametrize("share", ["abc", "50", "101%", "٣%", "1e1%"])
def test_a_share_is_read_as_in_the_settings_and_reported_as_it_was_written(
    tmp_path: Path, share: str
) -> None:
    done = cli(tmp_path, "swap", "--canary", share)
    assert done.code == 2
    written = share.encode("ascii", "backslashreplace").decode()
    assert f'--canary must be a share such as "10%", not "{written}"' in done.err


def test_the_time_of_a_canary_has_no_other_digits_than_the_settings(tmp_path: Path) -> None:
    done = cli(tmp_path, "swap", "--canary", "5%", "--for", "٣")
    assert (done.code, "--for must be a duration such as" in done.err) == (2, True)


@pytest.mark.parametrize("command", CLIENTS)
def test_a_misplaced_settings_file_is_refused_with_the_option_to_use(
    tmp_path: Path, write: Callable[..., Path], command: str
) -> None:
    write()
    done = cli(tmp_path, command, "supervisor.toml")
    assert (done.code, done.out) == (2, "")
    assert "--config supervisor.toml" in done.err.splitlines()[-1]
    assert f"usage: blue-green {command}" in done.err


@pytest.mark.parametrize("command", ["run", "check"])
def test_run_and_check_take_the_settings_file_as_an_argument(tmp_path: Path, command: str) -> None:
    done = cli(tmp_path, command, "--config", "supervisor.toml")
    assert done.code == 2
    assert "takes the settings file without --config" in done.err


def test_check_warns_of_an_include_that_matches_no_file(tmp_path: Path) -> None:
    main = 'include = ["site/*.toml"]\n[proxy]\nlisten = ["unix:proxy.sock"]\n'
    (tmp_path / "supervisor.toml").write_text(main)
    done = cli(tmp_path, "check")
    assert done.code == 0
    assert "warned  include: site/*.toml matches no file\n        to fix: " in done.out


def test_client_commands_import_nothing_slow(tmp_path: Path) -> None:
    program = f"""
import sys
from blue_green import cli
for words in {[[name, *NEEDED.get(name, [])] for name in CLIENTS]}:
    assert cli.main([words[0], "--socket", "nobody-there", *words[1:]]) == 3
print({{"trio", "rich", "cattrs", "h11", "asyncio", "prometheus_client"}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


# --- settings -------------------------------------------------------------------------------


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    done = cli(tmp_path, "run", "missing.toml")
    assert (done.code, done.err) == (
        2,
        "blue-green: missing.toml: cannot be read: No such file or directory; "
        "`blue-green init` writes one\n",
    )


def test_all_errors_of_the_settings_are_printed(tmp_path: Path, write: Callable[..., Path]) -> None:
    write(hold={"limit": 0, "timeot": 1}, app={"stop_timeout": "soon"}, nonsense={})
    done = cli(tmp_path, "run", "supervisor.toml")
    assert done.code == 2
    assert done.err.count("blue-green: supervisor.toml: ") == len(done.err.splitlines()) == 4
    for key in ("[hold] limit", "[hold] timeot", "[app] stop_timeout", "[nonsense]"):
        assert f" {key}: " in done.err


def test_a_checkout_that_is_no_git_repository_is_reported(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    (tmp_path / "site").mkdir()
    write(git={"checkout": "site"})
    done = cli(tmp_path, "run", "supervisor.toml")
    assert done.code == 2
    assert f"[git] checkout: {tmp_path / 'site'} cannot be used" in done.err
    assert "not a git repository" in done.err


def test_a_missing_checkout_is_reported(tmp_path: Path, write: Callable[..., Path]) -> None:
    write(git={"checkout": "nowhere"})
    done = cli(tmp_path, "run", "supervisor.toml")
    assert done.code == 2
    assert f"[git] checkout: {tmp_path / 'nowhere'}: No such file" in done.err


@pytest.mark.parametrize("section", ["proxy", "admin"])
def test_a_port_in_use_is_reported_with_the_process_that_listens(
    tmp_path: Path, write: Callable[..., Path], section: str
) -> None:
    Repository(tmp_path / "site")
    port, free = free_ports(2)
    with socket.create_server(("127.0.0.1", port)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sections = {"proxy": {"listen": [f"127.0.0.1:{free}"]}, section: {"listen": [address]}}
        write(git={"checkout": "site"}, **sections)
        done = cli(tmp_path, "run", "supervisor.toml")
    assert done.code == 2
    assert f"[{section}] listen: cannot listen on {address}: pid {os.getpid()} (" in done.err


def test_an_existing_ignore_file_is_not_overwritten(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    site = Repository(tmp_path / "site")
    (site.path / ".gitignore").write_text("node_modules\n")
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
        listen = [f"127.0.0.1:{taken.getsockname()[1]}"]
        write(git={"checkout": "site"}, state={"directory": "site"}, proxy={"listen": listen})
        assert cli(tmp_path, "run", "supervisor.toml").code == 2
    assert (site.path / ".gitignore").read_text() == "node_modules\n"


# --- where the supervisor is ----------------------------------------------------------------


@pytest.mark.parametrize("command", CLIENTS)
def test_without_a_supervisor_the_exit_status_is_3(
    tmp_path: Path, write: Callable[..., Path], command: str
) -> None:
    write()
    done = cli(tmp_path, command, *NEEDED.get(command, []))
    assert (done.code, done.out) == (3, "")
    place = tmp_path / ".blue-green" / "control.sock"
    assert done.err == (
        f"blue-green: no supervisor listens on {place}: is `blue-green run` running?\n"
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_an_option_the_settings_file_in_this_directory_is_read(
    tmp_path: Path, command: str
) -> None:
    done = cli(tmp_path, command)
    assert done.code == 2
    assert "supervisor.toml: cannot be read" in done.out + done.err
    (tmp_path / "supervisor.toml").write_text("[nonsense]\n")
    done = cli(tmp_path, command)
    assert done.code == 2
    assert "supervisor.toml: [nonsense]: " in done.out + done.err


@pytest.mark.parametrize("text", ["[app\n", None], ids=["broken", "deleted"])
def test_a_supervisor_is_found_although_its_settings_file_is_broken_or_gone(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "supervisor.toml").write_text(text)
    place = tmp_path / ".blue-green" / "control.sock"
    with answering(place, RESUMED) as asked:
        done = cli(tmp_path, "resume", "--json")
        assert (done.code, done.out) == (0, '{"was_paused": true, "held": 0}\n')
    assert asked
    assert done.err.startswith("blue-green: supervisor.toml: ")
    assert done.err.endswith(f"; looking for the supervisor at {place}\n")


async def test_a_running_supervisor_is_found_by_its_process_when_its_file_is_broken(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        written = site.config_file.read_text()
        for broken in ("[app\n", None, written.replace(str(site.state), "/nowhere")):
            if broken is None:
                site.config_file.unlink()
            else:
                site.config_file.write_text(broken)
            done = await site.cli("status")
            assert (done.code, "test is serving" in done.out) == (0, True), done
            if broken != written.replace(str(site.state), "/nowhere"):
                assert f"looking for the supervisor at {site.state}/control.sock" in done.err
        site.config_file.write_text(written)
    site.config_file.write_text("[app\n")
    done = await site.cli("status")
    assert (done.code, "--socket DIRECTORY/control.sock" in done.err) == (2, True)


async def test_every_command_reports_a_wrong_value_in_the_settings_file(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        done = await site.cli("status")
        assert (done.code, done.err) == (0, "")
        site.configure(hold={"limit": 0, "ramp": 0})
        for command in ("status", "history", "resume"):
            done = await site.cli(command)
            assert done.code == 0
            *wrong, last = done.err.splitlines()
            assert ["[hold] limit" in wrong[0], "[hold] ramp" in wrong[1]] == [True, True], wrong
            assert last == "blue-green: the running supervisor keeps its current settings"
        done = await site.cli("reload")
        assert (done.code, len(done.err.splitlines())) == (2, 2), "it is said once"


PLACES: list[tuple[list[str], dict[str, str], str]] = [
    ([], {}, "here/control.sock"),
    (["--config", "other.toml"], {}, "there/own.sock"),
    ([], {"BLUE_GREEN_SOCKET": "env.sock"}, "env.sock"),
    (["--socket", "arg.sock"], {}, "arg.sock"),
    (["--socket", "arg.sock"], {"BLUE_GREEN_SOCKET": "env.sock"}, "arg.sock"),
    (["--socket", "arg.sock", "--config", "other.toml"], {}, "arg.sock"),
    (["--config", "other.toml"], {"BLUE_GREEN_SOCKET": "env.sock"}, "env.sock"),
    ([], {"BLUE_GREEN_SOCKET": ""}, "here/control.sock"),
]


@pytest.mark.parametrize(("words", "env", "place"), PLACES)
def test_the_socket_option_overrides_the_environment_which_overrides_the_file(
    tmp_path: Path, write: Callable[..., Path], words: list[str], env: dict[str, str], place: str
) -> None:
    write(state={"directory": "here"})
    write("other.toml", state={"directory": "there"}, control={"socket": "own.sock"})
    with answering(tmp_path / place, RESUMED) as asked:
        done = cli(tmp_path, "resume", *words, **env)
        assert done == Done(0, "resumed\n", "")
    assert asked == [encode({"command": "resume", "directory": str(tmp_path)})]


# --- which site -----------------------------------------------------------------------------


OF_A_SITE = ["swap", "rollback", "restart", "pause", "resume", "history", "logs"]


def asked_by(directory: Path, *words: str) -> dict[str, Any]:
    """The request that a command sends; the supervisor refuses it."""
    refusal = {"event": "error", "error": "there is no such site", "usage": True}
    with answering(directory / "s", refusal) as asked:
        done = cli(directory, *words, "--socket", "s")
    assert done == Done(2, "", "blue-green: there is no such site\n")
    request: dict[str, Any] = json.loads(asked[0])
    return request


@pytest.mark.parametrize("command", OF_A_SITE)
def test_a_command_of_a_site_names_it_or_the_current_directory(
    tmp_path: Path, command: str
) -> None:
    request = asked_by(tmp_path, command)
    assert (request["command"], request["directory"]) == (command, str(tmp_path))
    request = asked_by(tmp_path, command, "--site", "blog")
    assert (request["site"], "directory" in request) == ("blog", False)


@pytest.mark.parametrize("words", [["blog"], ["--site", "blog"], ["--site=blog", "--watch"]])
def test_the_status_is_that_of_the_named_site(tmp_path: Path, words: list[str]) -> None:
    request = {"command": "status", "site": "blog"}
    if "--watch" in words:
        with answering(tmp_path / "s", {"event": "result", **status()}) as asked:
            watching = subprocess.Popen(
                [sys.executable, "-m", "blue_green", "status", *words, "--socket", "s"],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                text=True,
            )
            with watching:
                assert watching.stdout is not None
                assert watching.stdout.readline() == "● blog is serving\n"
                watching.terminate()
        assert asked == [encode(request)]
    else:
        assert asked_by(tmp_path, "status", *words) == request


def test_without_a_name_the_status_is_that_of_all_sites(tmp_path: Path) -> None:
    sites = {"sites": {"blog": status(), "shop": status()}, "supervisor": status()["supervisor"]}
    done, asked = answer_to(tmp_path, "status", answer={"event": "result", **sites})
    assert asked == encode({"command": "status"})
    assert [line.split()[1:3] for line in done.out.splitlines()[1:3]] == [
        ["blog", "serving"],
        ["shop", "serving"],
    ]
    done, _ = answer_to(tmp_path, "status", "--json", answer={"event": "result", **sites})
    assert json.loads(done.out) == sites


def test_an_older_supervisor_is_asked_again_without_the_directory(tmp_path: Path) -> None:
    error = "resume: Extra fields in constructor for NoArguments: directory"
    refusal = {"event": "error", "error": error, "usage": True}
    with answering(tmp_path / "s", refusal, RESUMED, each=True) as asked:
        assert cli(tmp_path, "resume", "--socket", "s") == Done(0, "resumed\n", "")
    assert asked[1] == encode({"command": "resume"})
    done, asked_once = answer_to(tmp_path, "resume", "--site", "blog", answer=refusal)
    assert (done.code, asked_once) == (2, encode({"command": "resume", "site": "blog"}))


def test_the_names_of_sites_are_printed_for_completion(tmp_path: Path) -> None:
    several = {"event": "result", "sites": {"blog": {}, "shop": {}}, "supervisor": {}}
    done, _ = answer_to(tmp_path, "status", "--names", answer=several)
    assert done == Done(0, "blog\nshop\n", "")
    done, _ = answer_to(tmp_path, "status", "--names", answer={"event": "result", **status()})
    assert done == Done(0, "blog\n", "")
    done, _ = answer_to(
        tmp_path, "status", "--names", answer={"event": "error", "error": "x", "usage": False}
    )
    assert done == Done(1, "", "")


def test_only_names_that_a_shell_does_not_expand_are_printed(tmp_path: Path) -> None:
    names = {"event": "result", "names": ["origin/main", "$(oops)", "v1.4"]}
    done, asked = answer_to(tmp_path, "status", "--revision-names", "--site", "shop", answer=names)
    assert done == Done(0, "origin/main\nv1.4\n", "")
    assert asked == encode({"command": "revision-names", "site": "shop"})


def test_the_names_of_processes_are_those_of_the_site_that_was_named(tmp_path: Path) -> None:
    shop = {"event": "result", "site": "shop", "processes": [{"name": "worker"}]}
    done, asked = answer_to(tmp_path, "status", "--process-names", "--site", "shop", answer=shop)
    assert done == Done(0, "worker\n", "")
    assert asked == encode({"command": "status", "site": "shop"})


# --- answers --------------------------------------------------------------------------------


def answer_to(directory: Path, *words: str, answer: dict[str, Any]) -> tuple[Done, bytes]:
    with answering(directory / "s", answer) as asked:
        done = cli(directory, *words, "--socket", "s")
    return done, b"".join(asked)


@pytest.mark.parametrize(("usage", "code"), [(True, 2), (False, 1)])
def test_a_refusal_by_the_supervisor_is_printed(tmp_path: Path, usage: bool, code: int) -> None:
    answer = {"event": "error", "error": "there is none", "usage": usage}
    done, _ = answer_to(tmp_path, "rollback", answer=answer)
    assert done == Done(code, "", "blue-green: there is none\n")


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    done, _ = answer_to(tmp_path, "resume", "--json", answer=RESUMED)
    assert done == Done(0, '{"was_paused": true, "held": 0}\n', "")


def test_a_supervisor_that_goes_away_is_a_failure(tmp_path: Path) -> None:
    done, _ = answer_to(tmp_path, "status", answer={"event": "phase"})
    assert (done.code, done.out) == (1, "")
    assert "ended before it answered" in done.err


def test_lost_lines_are_reported(tmp_path: Path) -> None:
    at = "2026-01-02T03:04:05.678+00:00"
    line = {"at": at, "source": "blue", "revision": "a" * 40, "is_error": False, "text": "hello"}
    lines = {"event": "lines", "lost": 7, "lines": [line]}
    with answering(tmp_path / "s", lines, {"event": "result"}) as asked:
        done = cli(tmp_path, "logs", "green", "-n", "5", "--socket", "s", TZ="UTC")
    assert done == Done(
        0,
        "03:04:05.678 blue aaaaaaa | hello\n",
        "blue-green: 7 lines were lost: they were not read fast enough\n",
    )
    request = {"command": "logs", "which": "green", "count": 5, "follow": False}
    assert asked == [encode({**request, "directory": str(tmp_path)})]


@pytest.mark.parametrize(("time", "seconds"), [("90s", 90.0), ("2m", 120.0), ("20", 20.0)])
def test_a_pause_reports_when_it_ends(tmp_path: Path, time: str, seconds: float) -> None:
    answer = {"event": "result", "paused_for": seconds}
    done, asked = answer_to(tmp_path, "pause", "--for", time, answer=answer)
    assert done == Done(0, f"paused for {seconds:g} s: requests wait at the proxy\n", "")
    assert asked == encode({"command": "pause", "seconds": seconds, "directory": str(tmp_path)})


@pytest.mark.parametrize("time", ["soon", "-5s", "5 m", ""])
def test_a_pause_needs_a_duration(tmp_path: Path, time: str) -> None:
    done = cli(tmp_path, "pause", f"--for={time}", "--socket", "nobody-there")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("blue-green: --for must be a duration such as ")
