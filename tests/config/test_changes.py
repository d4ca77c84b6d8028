"""Changed settings: their names, their values, and when they take effect."""

from pathlib import Path
from typing import Any

import pytest

from blue_green.config import change_text, parsing
from blue_green.config.changes import changes, in_force
from blue_green.config.effects import Effect
from blue_green.config.settings import Settings

FILE = Path("/srv/supervisor.toml")


def settings(**sections: dict[str, Any]) -> Settings:
    document = {**sections, "app": {"command": ["serve"], "ports": [3000, 3001]}}
    document["app"] |= sections.get("app", {})
    return parsing.parse(document, FILE)


def described(old: Settings, new: Settings) -> list[str]:
    return change_text.changes([change.as_dict() for change in changes(old, new)]).splitlines()


def test_equal_settings_have_no_changes() -> None:
    assert changes(settings(), settings()) == []
    assert described(settings(), settings()) == ["nothing has changed"]


@pytest.mark.parametrize(
    ("section", "values", "line"),
    [
        ("hold", {"limit": 2000}, "[hold] limit: 1000 -> 2000, now"),
        ("health", {"interval": "500ms"}, "[health] interval: 1s -> 500ms, now"),
        ("hold", {"timeout": 90}, "[hold] timeout: 30s -> 90s, now"),
        ("swap", {"soak": 1.5}, "[swap] soak: 5s -> 1.5s, at the next swap"),
        ("swap", {"soak": 0}, "[swap] soak: 5s -> 0s, at the next swap"),
        ("app", {"stop_timeout": "2h"}, "[app] stop_timeout: 10s -> 2h, at the next swap"),
        ("proxy", {"max_head": "1MB"}, "[proxy] max_head: 16KiB -> 1MB, now"),
        ("proxy", {"max_body": 1001}, "[proxy] max_body: 0B -> 1001B, now"),
        ("health", {"status": [200, 401]}, "[health] status: [] -> [200, 401], now"),
        ("git", {"pull_every": "5m"}, "[git] pull_every: none -> 5m, now"),
        (
            "proxy",
            {"trusted_proxies": ["10.0.0.0/8", "unix:"]},
            '[proxy] trusted_proxies: [] -> ["10.0.0.0/8", "unix:"], now',
        ),
        (
            "app",
            {"ports": [[3000, 3002], [3001, 3003]]},
            "[app] ports: [[3000], [3001]] -> [[3000, 3002], [3001, 3003]], at the next swap",
        ),
        (
            "proxy",
            {"tls": {"certificate": "/c.pem", "key": "/k.pem", "redirect": ["[::]:80"]}},
            '[proxy] tls.redirect: none -> ["[::]:80"], needs a restart of the supervisor',
        ),
        ("proxy", {"http2": {"enabled": False}}, "[proxy] http2.enabled: true -> false, now"),
        (
            "app",
            {"stop_signal": "SIGINT"},
            '[app] stop_signal: "SIGTERM" -> "SIGINT", at the next swap',
        ),
        (
            "release",
            {"link": [".env"]},
            '[release] link: [] -> [".env"], at the next build '
            "(for the live release: blue-green swap --rebuild)",
        ),
        (
            "proxy",
            {"listen": ["[::]:80"]},
            '[proxy] listen: ["127.0.0.1:8000"] -> ["[::]:80"], needs a restart of the supervisor',
        ),
        (
            "state",
            {"directory": "/var/lib/site"},
            '[state] directory: "/srv/.blue-green" -> "/var/lib/site", '
            "needs a restart of the supervisor",
        ),
    ],
)
def test_a_change_is_reported_with_both_values_and_its_effect(
    section: str, values: dict[str, Any], line: str
) -> None:
    assert line in described(settings(), settings(**{section: values}))


def test_a_change_within_a_section_of_a_section_names_its_key() -> None:
    pair = {"certificate": "/c.pem", "key": "/k.pem"}
    old, new = settings(proxy={"tls": pair}), settings(proxy={"tls": {**pair, "key": "/new.pem"}})
    [line] = described(old, new)
    assert line.startswith('[proxy] tls.key: "/k.pem" -> "/new.pem", needs a restart')
    assert in_force(old, new) == old


def test_values_of_environment_variables_are_hidden() -> None:
    old = settings(app={"env": {"TOKEN": "secret1", "GONE": "secret2", "SAME": "secret3"}})
    new = settings(app={"env": {"TOKEN": "secret4", "ADDED": "secret5", "SAME": "secret3"}})
    assert described(old, new) == [
        '[app] env.ADDED: none -> "(hidden)", at the next swap',
        '[app] env.GONE: "(hidden)" -> none, at the next swap',
        '[app] env.TOKEN: "(hidden)" -> "(hidden)", at the next swap',
    ]


def test_a_change_that_needs_a_restart_is_not_in_force_before_it() -> None:
    old = settings()
    new = settings(hold={"limit": 7}, app={"name": "other"}, proxy={"listen": ["[::]:80"]})
    between = in_force(old, new)
    assert between.sites[0].hold.limit == 7
    assert (between.sites[0].app.name, between.proxy.listen) == (
        old.sites[0].app.name,
        old.proxy.listen,
    )
    # The next reload tells of it again, and of nothing else.
    assert {change.effect for change in changes(between, new)} == {Effect.RESTART}
    assert {change.key for change in changes(between, new)} == {"name", "listen"}
