"""supervisor.toml becomes settings, or every problem in it at once."""

import re
import signal
from pathlib import Path

import pytest

from blue_green.config.error import ConfigError
from blue_green.config.kinds import Seconds
from blue_green.config.settings import Settings
from blue_green.supervisor import settings_file
from blue_green.system import locate

MINIMAL = '[app]\ncommand = ["serve", "{port}"]\nports = [3000, 3001]\n'
TLS = '[proxy.tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
TOP = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / "supervisor.toml"


def load(file: Path, more: str = "", start: str = MINIMAL) -> Settings:
    file.write_text(start + more)
    return settings_file.load(file)


def problems(file: Path, more: str = "", start: str = MINIMAL) -> list[str]:
    """What is said about these settings, without the file's name in front."""
    with pytest.raises(ConfigError) as caught:
        load(file, more, start)
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


# --- values ---------------------------------------------------------------------------------


DURATIONS = {
    '"500ms"': 0.5,
    '"2s"': 2,
    '"1.5s"': 1.5,
    '"5m"': 300,
    '"1h"': 3600,
    '"0s"': 0,
    "0": 0,
    "7": 7,
    "0.25": 0.25,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_a_duration_is_read_as_seconds(file: Path, text: str, seconds: float) -> None:
    assert load(file, f"stop_timeout = {text}").app.stop_timeout == seconds


@pytest.mark.parametrize("text", ["true", '"5"', '"-1s"', "-1", "inf", "nan", '"2 s"', '"1d"'])
def test_what_is_no_duration_is_refused(file: Path, text: str) -> None:
    (problem,) = problems(file, f"stop_timeout = {text}")
    assert problem.startswith("[app] stop_timeout: must be a duration such as")


@pytest.mark.parametrize("text", ["3000000000", '"3000000000s"', '"' + "9" * 400 + 'h"'])
def test_a_duration_without_end_is_refused_however_it_is_written(file: Path, text: str) -> None:
    (problem,) = problems(file, f"stop_timeout = {text}")
    assert problem.startswith("[app] stop_timeout: ")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ('"4096"', 4096), ('"16KiB"', 16384), ('"2MB"', 2_000_000), ('"5000B"', 5000)],
)
def test_a_size_is_read_as_bytes(file: Path, text: str, size: int) -> None:
    assert load(file, f"[proxy]\nmax_head = {text}").proxy.max_head == size


BAD_VALUES = [
    ("[app]", "name", "3"),
    ("[app]", "env", "3"),
    ("[app]", "env", '["A"]'),
    ("[app]", "env.A", "1"),
    ("[app]", "env.9A", '"x"'),
    ("[app]", "user", "[]"),
    ("[app]", "stop_signal", '"TERM"'),
    ("[app]", "stop_signal", '"SIGKILL"'),
    ("[app]", "stop_signal", "15"),
    ("[app]", "stop_signal", '["SIGTERM"]'),
    ("[git]", "checkout", "1"),
    ("[git]", "branch", "true"),
    ("[git]", "branch", '"--upload-pack=x"'),
    ("[git]", "pull_every", "0"),
    ("[git]", "fetch_timeout", '"soon"'),
    ("[release]", "build", '"make all"'),
    ("[release]", "build", "[]"),
    ("[release]", "build", '["make", 1]'),
    ("[release]", "link", '".env"'),
    ("[release]", "link", '["/etc/passwd"]'),
    ("[release]", "link", '["../secrets"]'),
    ("[release]", "link", '["."]'),
    ("[release]", "link", "[1]"),
    ("[release]", "keep", "0"),
    ("[release]", "keep", "1.5"),
    ("[release]", "in_place", '"yes"'),
    ("[health]", "path", '"healthz"'),
    ("[health]", "path", '"/a b"'),
    ("[health]", "path", '"/a#b"'),
    ("[health]", "host", '"a\\r\\nb"'),
    ("[health]", "status", "200"),
    ("[health]", "status", "[true]"),
    ("[health]", "status", "[100]"),
    ("[health]", "rise", "-1"),
    ("[health]", "warmup", '"/"'),
    ("[health]", "warmup", '["search"]'),
    ("[swap]", "strategy", '"both"'),
    ("[swap]", "low_memory", '"overlap"'),
    ("[hold]", "limit", "true"),
    ("[proxy]", "listen", '"127.0.0.1:80"'),
    ("[proxy]", "listen", "[]"),
    ("[proxy]", "listen", '["8000"]'),
    ("[proxy]", "listen", '["::1:80"]'),
    ("[proxy]", "listen", '["localhost:0"]'),
    ("[proxy]", "listen", '["localhost:65536"]'),
    ("[proxy]", "listen", '["unix:"]'),
    ("[proxy]", "trusted_proxies", '["example.com"]'),
    ("[proxy]", "trusted_proxies", '["10.0.0.1/8"]'),
    ("[proxy]", "max_head", '"1000"'),
    ("[proxy]", "max_body", "-1"),
    ("[proxy]", "max_body", '"16 KiB"'),
    ("[proxy]", "max_body", "1.5"),
    ("[proxy]", "access_log", "1"),
    ("[control]", "socket", "1"),
    ("[state]", "directory", "[]"),
]


@pytest.mark.parametrize(("section", "key", "value"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_file_section_and_key(
    file: Path, section: str, key: str, value: str
) -> None:
    more = f"{section}\n" if section != "[app]" else ""
    (problem,) = problems(file, f"{more}{key} = {value}")
    assert problem.startswith(f"{section} {key}: ")
    assert not re.search("unhashable|object has no attribute|NoneType", problem), "that is Python's"


BAD_PORTS = [
    "3000",
    "[3000]",
    "[3000, 3000]",
    "[3000, 70000]",
    "[0, 1]",
    "[true, 3001]",
    '["3000", "3001"]',
    "[[], []]",
    "[[3000, 3001], [3002]]",
    "[[3000, 3001], [3001, 3002]]",
]


@pytest.mark.parametrize("ports", BAD_PORTS)
def test_ports_that_cannot_be_are_refused(file: Path, ports: str) -> None:
    (problem,) = problems(file, start=f'[app]\ncommand = ["serve"]\nports = {ports}\n')
    assert problem.startswith("[app] ports: ")


def test_a_slot_may_have_several_ports(file: Path) -> None:
    settings = load(file, start='[app]\ncommand = ["x"]\nports = [[1, 3], [2, 4]]')
    assert settings.app.ports == ((1, 3), (2, 4))


@pytest.mark.parametrize("section", ["proxy", "admin"])
def test_addresses_are_understood(file: Path, section: str) -> None:
    listen = 'listen = ["127.0.0.1:80", "[::1]:81", "localhost:82", "unix:app.sock"]'
    settings = load(file, f"[{section}]\n{listen}")
    addresses = [str(end) for end in getattr(settings, section).listen]
    own = f"unix:{file.parent / 'app.sock'}"
    assert addresses == ["127.0.0.1:80", "[::1]:81", "localhost:82", own]


# --- errors ---------------------------------------------------------------------------------


def test_all_errors_are_told_at_once(file: Path) -> None:
    more = 'stop_timeout = "x"\n[git]\nbranch = 1\n[nonsense]\n[hold]\nlimit = 0\nramp = "many"'
    found = problems(file, more, start="[app]\nports = [1]\n")
    keys = [problem.partition(":")[0] for problem in found]
    assert sorted(keys) == [
        "[app] command",
        "[app] ports",
        "[app] stop_timeout",
        "[git] branch",
        "[hold] limit",
        "[hold] ramp",
        "[nonsense]",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('comand = ["x"]', "[app] comand: is unknown; did you mean command?"),
        ("[helth]", "[helth]: is unknown; did you mean health?"),
        ('link = [".env"]', "[app] link: does not belong here, but in [release]"),
        ('[webhook]\nsecret = "x"', "[webhook] secret: is unknown; did you mean secret_file?"),
        ("[proxy]\ntls = true", "[proxy.tls]: must be a section of settings, not true"),
        (
            "[proxy]\ncertificate = 1",
            "[proxy] certificate: does not belong here, but in [proxy.tl",
        ),
        (f"{TLS}listen = []", "[proxy.tls] listen: does not belong here, but in [proxy]"),
        (f"{TLS}redirects = []", "[proxy.tls] redirects: is unknown; did you mean redirect?"),
        ('[proxy.tls]\nkey = "k"', "[proxy.tls] certificate: is missing, and has no default"),
        ("[tls]", "[tls]: does not belong here, but in [proxy]"),
        ("colour = 1", "[app] colour: is unknown; known here: command, ports, name"),
        ("[hold.deeper]", "[hold] deeper: is unknown; known here: timeout, limit, ramp"),
        ("[[git]]", "[git]: must be a section of settings"),
    ],
)
def test_a_key_that_is_not_known_is_told_with_the_one_meant(
    file: Path, more: str, said: str
) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(said)


def test_a_key_outside_of_any_section_is_sent_to_its_own(file: Path) -> None:
    (problem,) = problems(file, start='ports = [1, 2]\n[app]\ncommand = ["x"]\nports = [1, 2]')
    assert problem == "[ports]: does not belong here, but in [app]"


@pytest.mark.parametrize(
    ("more", "key", "why"),
    [
        ('[release]\nin_place = true\nlink = ["x"]', "[release] link", "in_place"),
        ('[proxy]\nlisten = ["localhost:3001"]', "[proxy] listen", "3001"),
        ('[proxy]\nlisten = ["127.0.0.1:80", "127.0.0.1:80"]', "[proxy] listen", "80"),
        ('[admin]\nlisten = ["127.0.0.1:3000"]', "[admin] listen", "the app's own"),
        ('[admin]\nlisten = ["unix:a", "unix:a"]', "[admin] listen", "twice"),
        ('[admin]\nlisten = ["127.0.0.1:8000"]', "[admin] listen", "[proxy] listen"),
        ('[admin]\ndrain_delay = "5s"', "[admin] drain_delay", "without [admin] listen"),
        ('[webhook]\nsecret_file = "x"', "[webhook] secret_file", "needs [admin] listen"),
        ('[webhook]\npath = "/ready"', "[webhook] path", "must not be one of /, /events, /ready"),
        ('[webhook]\npath = "/hook?a"', "[webhook] path", "have no query"),
        (f'{TLS}redirect = ["[::]:80", "[::]:80"]', "[proxy.tls] redirect", "listed twice"),
        (f'{TLS}redirect = ["[::]:3001"]', "[proxy.tls] redirect", "the app's own"),
        (f'{TLS}redirect = ["127.0.0.1:8000"]', "[proxy.tls] redirect", "[proxy] listen"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    file: Path, more: str, key: str, why: str
) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(f"{key}: ")
    assert why in problem


def test_a_misspelt_placeholder_is_told(file: Path) -> None:
    (problem,) = problems(file, start='[app]\ncommand = ["x", "{prot}"]\nports = [1, 2]')
    assert problem == "[app] command: {prot} is unknown; did you mean {port}?"


def test_other_braces_are_the_apps_own(file: Path) -> None:
    settings = load(file, start='[app]\ncommand = ["x", "{a}", "{}", "${HOME}"]\nports = [1, 2]')
    assert settings.app.command == ("x", "{a}", "{}", "${HOME}")


NOT_TOML = {
    "unclosed": b"[app",
    "the same key twice": b"a = 1\na = 2",
    "binary": b"\xff\xfe",
    "Latin-1": b'name = "caf\xe9"',
    "deeply nested": b"x = " + b"[" * 5000,
    "an enormous number": b"x = " + b"9" * 5000,
}


@pytest.mark.parametrize("content", NOT_TOML.values(), ids=NOT_TOML.keys())
def test_what_is_not_toml_is_refused_with_the_files_name(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        settings_file.load(file)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}: is not ")


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(str(file))}: cannot be read: No such file"):
        settings_file.load(file)


# --- defaults and paths ---------------------------------------------------------------------


def test_everything_but_command_and_ports_has_a_default(file: Path) -> None:
    settings = load(file)
    assert settings.app.name == file.parent.name
    assert settings.app.stop_signal == signal.SIGTERM
    assert settings.git.checkout == file.parent
    assert settings.state.directory == file.parent / ".blue-green"
    assert settings.control.socket == file.parent / ".blue-green" / "control.sock"
    assert [str(end) for end in settings.proxy.listen] == ["127.0.0.1:8000"]
    assert settings.admin.listen == ()


def test_paths_are_relative_to_the_file_and_not_to_where_we_are(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[git]\ncheckout = "../site"\n[state]\ndirectory = "var"\n[control]\nsocket = "c"'
    file.write_text(MINIMAL + more)
    monkeypatch.chdir("/")
    settings = settings_file.load(file)
    assert settings.git.checkout == file.parent.parent / "site"
    assert settings.app.name == "site"
    assert settings.control.socket == file.parent / "var" / "c"


@pytest.mark.parametrize(
    ("text", "https"),
    [
        ("", False),
        (TLS, True),
        ("[health]\nhttps = true\n", True),
        (f"[health]\nhttps = false\n{TLS}", False),
    ],
)
def test_probes_are_as_over_https_where_tls_is_unless_said_otherwise(
    file: Path, text: str, https: bool
) -> None:
    assert load(file, text).health.https is https


def test_paths_of_tls_are_relative_to_the_file_too(file: Path) -> None:
    tls = load(file, f'{TLS}redirect = ["unix:r.sock", "[::]:80"]').proxy.tls
    assert tls is not None
    assert (tls.certificate, tls.key) == (file.parent / "c.pem", file.parent / "k.pem")
    assert [str(end) for end in tls.redirect] == [f"unix:{file.parent / 'r.sock'}", "[::]:80"]
    assert load(file).proxy.tls is None


def test_every_mistake_in_the_section_of_tls_is_told(file: Path) -> None:
    found = problems(file, '[proxy.tls]\ncertificate = 1\nredirect = ["80"]')
    keys = [problem.partition(":")[0] for problem in found]
    assert sorted(keys) == [f"[proxy.tls] {key}" for key in ("certificate", "key", "redirect")]


def test_the_state_directory_is_the_same_however_the_file_is_named(file: Path) -> None:
    """It marks our processes: with another name, they would not be found after a crash."""
    elsewhere = file.parent / "sub" / ".." / file.name
    (file.parent / "sub").mkdir()
    assert load(file).state == settings_file.load(elsewhere).state


STATE_SETTINGS: list[tuple[str, dict[str, str], str]] = [
    ("", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
    ('[state]\ndirectory = "/srv/state"', {"STATE_DIRECTORY": "/var/lib/a"}, "/srv/state"),
    ('[state]\ndirectory = ".blue-green"', {"STATE_DIRECTORY": "/var/lib/a"}, ".blue-green"),
    ("", {"STATE_DIRECTORY": ""}, ".blue-green"),
]


def nowhere(_: Path) -> None:
    """No supervisor runs that was started with this file."""


@pytest.mark.parametrize(("more", "env", "directory"), STATE_SETTINGS)
def test_the_state_directory_is_the_one_set_else_systemds(
    file: Path, monkeypatch: pytest.MonkeyPatch, more: str, env: dict[str, str], directory: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert load(file, more).state.directory == file.parent / directory
    assert (
        locate.control_socket(file, pytest.fail, nowhere)
        == file.parent / directory / "control.sock"
    )


def test_the_socket_is_found_in_a_file_with_other_mistakes(file: Path) -> None:
    file.write_text('[app]\nports = "none"\n[control]\nsocket = "/run/x.sock"')
    assert locate.control_socket(file, pytest.fail, nowhere) == Path("/run/x.sock")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[app\nports = [1, 2]", ".blue-green/control.sock"),
        ("x = \n[state]\ndirectory = 'there'\n[app]\n", "there/control.sock"),
        ("[control] # here\nsocket = 'x.sock'\n[app\n[state]\n", ".blue-green/x.sock"),
        (" [state]\ndirectory = 'there'\n[control]\nsocket = \n", "there/control.sock"),
        ("[state]\ndirectory = \n", ".blue-green/control.sock"),
        ("[state]\n[state]\ndirectory = 'there'\n", "there/control.sock"),
        ("\udcff\n[state]\ndirectory = 'there'\n", "there/control.sock"),
    ],
)
def test_the_socket_is_found_in_a_broken_file_or_at_its_default_place(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match="is not "):
        locate.control_socket(file, pytest.fail, nowhere)
    (file.parent / place).parent.mkdir()
    (file.parent / place).touch()
    warnings: list[str] = []
    assert locate.control_socket(file, warnings.append, nowhere) == file.parent / place
    [warning] = warnings
    assert warning.startswith(f"{file}: is not ")
    assert warning.endswith(f"; looking for the supervisor at {file.parent / place}")


def test_the_example_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    settings = settings_file.load(TOP / "supervisor.toml.example")
    assert settings.git.checkout == TOP


# --- settings that had another name ---------------------------------------------------------


def test_an_old_name_holds_and_the_log_tells_the_new_one(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(file, '[swap]\ntunnel_timeout = "7s"\n').swap.stream_timeout == Seconds(7)
    said = "[swap] tunnel_timeout is now called stream_timeout: please rename it"
    assert caplog.messages == [said]


def test_an_old_name_beside_the_new_one_is_a_mistake(file: Path) -> None:
    [problem] = problems(file, '[swap]\ntunnel_timeout = "7s"\nstream_timeout = "8s"\n')
    assert problem == "[swap] tunnel_timeout: is unknown; did you mean stream_timeout?"
