"""Values are read strictly, and a bad one is reported with its key."""

import re
from pathlib import Path

import pytest

from tests.support.settings import load, problems

DURATIONS = {
    '"500ms"': 0.5,
    '"2s"': 2,
    '"1.5s"': 1.5,
    '"5m"': 300,
    '"1h"': 3600,
    '"1.5d"': 129600,
    '"0s"': 0,
    "0": 0,
    "7": 7,
    "0.25": 0.25,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_a_duration_is_read_as_seconds(file: Path, text: str, seconds: float) -> None:
    assert load(file, f"stop_timeout = {text}").sites[0].app.stop_timeout == seconds


@pytest.mark.parametrize(
    "text", ["true", '"5"', '"-1s"', "-1", "inf", "nan", '"2 s"', '"1w"', '"٣s"']
)
def test_a_malformed_duration_is_an_error(file: Path, text: str) -> None:
    (problem,) = problems(file, f"stop_timeout = {text}")
    assert problem.startswith("[app] stop_timeout: must be a duration such as")


@pytest.mark.parametrize("text", ["3000000000", '"3000000000s"', '"' + "9" * 400 + 'h"'])
def test_a_duration_of_centuries_is_an_error_in_any_notation(file: Path, text: str) -> None:
    (problem,) = problems(file, f"stop_timeout = {text}")
    assert problem.startswith("[app] stop_timeout: ")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ('"4096"', 4096), ('"16KiB"', 16384), ('"2MB"', 2_000_000), ('"5000B"', 5000)],
)
def test_a_size_is_read_as_bytes(file: Path, text: str, size: int) -> None:
    assert load(file, f"[proxy]\nmax_head = {text}").proxy.max_head == size


@pytest.mark.parametrize(("text", "share"), [("0%", 0), ("10%", 10), ("0.5%", 0.5), ("100%", 100)])
def test_a_share_is_read_as_percent(file: Path, text: str, share: float) -> None:
    assert load(file, f'[swap]\ncanary = "{text}"').sites[0].swap.canary == share


@pytest.mark.parametrize("value", ['"101%"', '"-1%"', '"10"', "10", '"%"', '"1.234%"', '"٣%"'])
def test_a_malformed_share_is_an_error(file: Path, value: str) -> None:
    (problem,) = problems(file, f"[swap]\ncanary = {value}")
    assert problem.startswith('[swap] canary: must be a share such as "10%", not ')


def test_a_canary_lasts_at_most_30_days(file: Path) -> None:
    assert load(file, '[swap]\ncanary_for = "30d"').sites[0].swap.canary_for == 30 * 86400.0
    assert problems(file, '[swap]\ncanary_for = "31d"') == [
        '[swap] canary_for: must be at most 30 days, not "31d"'
    ]
    assert problems(file, '[swap]\ncanary_for = "0s"') == [
        "[swap] canary_for: must be more than zero"
    ]


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
    ("[hold]", "limit", "2147483648"),
    ("[proxy.http2]", "max_streams", "4294967296"),
    ("[proxy.http2]", "max_resets", "99"),
    ("[proxy.http2]", "max_control_frames", "1"),
    ("[proxy.http2]", "max_control_frames", "2147483648"),
    ("[proxy]", "max_head", '"5GiB"'),
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
def test_a_bad_value_is_reported_with_its_file_section_and_key(
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
def test_impossible_ports_are_an_error(file: Path, ports: str) -> None:
    (problem,) = problems(file, start=f'[app]\ncommand = ["serve"]\nports = {ports}\n')
    assert problem.startswith("[app] ports: ")


def test_a_slot_may_have_several_ports(file: Path) -> None:
    settings = load(file, start='[app]\ncommand = ["x"]\nports = [[1, 3], [2, 4]]')
    assert settings.sites[0].app.ports == ((1, 3), (2, 4))


@pytest.mark.parametrize("section", ["proxy", "admin"])
def test_addresses_are_tcp_ports_or_unix_sockets(file: Path, section: str) -> None:
    listen = 'listen = ["127.0.0.1:80", "[::1]:81", "localhost:82", "unix:app.sock"]'
    settings = load(file, f"[{section}]\n{listen}")
    addresses = [str(end) for end in getattr(settings, section).listen]
    own = f"unix:{file.parent / 'app.sock'}"
    assert addresses == ["127.0.0.1:80", "[::1]:81", "localhost:82", own]
