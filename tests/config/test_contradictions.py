"""Settings that are each well-formed can be wrong together."""

from pathlib import Path

import pytest

from tests.support.settings import TLS, load, problems


@pytest.mark.parametrize(
    ("more", "key", "why"),
    [
        ('[release]\nin_place = true\nlink = ["x"]', "[release] link", "in_place"),
        ('[release]\nin_place = true\n[git]\npaths = ["x"]', "[git] paths", "in_place"),
        ('[proxy]\nlisten = ["localhost:3001"]', "[proxy] listen", "3001"),
        ('[proxy]\nlisten = ["127.0.0.1:80", "127.0.0.1:80"]', "[proxy] listen", "80"),
        ('[admin]\nlisten = ["127.0.0.1:3000"]', "[admin] listen", "the app's own"),
        ('[admin]\nlisten = ["unix:a", "unix:a"]', "[admin] listen", "twice"),
        ('[admin]\nlisten = ["127.0.0.1:8000"]', "[admin] listen", "[proxy] listen"),
        ('[admin]\ndrain_delay = "5s"', "[admin] drain_delay", "without [admin] listen"),
        ('[webhook]\nsecret_file = "x"', "[webhook] secret_file", "needs [admin] listen"),
        ('[webhook]\npath = "/ready"', "[webhook] path", "must not be one of /, /events, /ready"),
        ('[webhook]\npath = "/hook?a"', "[webhook] path", "have no query"),
        ('[swap]\ncanary = "5%"\nstrategy = "exclusive"', "[swap] canary", "two releases at once"),
        ('[swap]\ncanary = "5%"\n[release]\nin_place = true', "[swap] canary", "in_place = true"),
        ('[idle]\nprocesses = "run"', "[idle] processes", "has no effect without after"),
        (f'{TLS}redirect = ["[::]:80", "[::]:80"]', "[proxy.tls] redirect", "listed twice"),
        (f'{TLS}redirect = ["[::]:3001"]', "[proxy.tls] redirect", "the app's own"),
        (f'{TLS}redirect = ["127.0.0.1:8000"]', "[proxy.tls] redirect", "[proxy] listen"),
        (
            f'[proxy]\nlisten = ["[::]:80"]\n{TLS}redirect = ["[::]:80"]',
            "[proxy.tls] redirect",
            'for HTTPS, set listen = ["[::]:443"]',
        ),
    ],
)
def test_contradicting_settings_are_an_error(file: Path, more: str, key: str, why: str) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(f"{key}: ")
    assert why in problem


@pytest.mark.parametrize(
    ("app", "key", "why"),
    [
        ('command = ["x"]\nports = [1, 2]\nbackends = 2', "backends", "no effect with ports"),
        ('command = ["x", "{socket}"]\nports = [1, 2]', "ports", "no effect with {socket}"),
        ('command = ["x", "{socket}", "{port}"]', "command", "both {port} and {socket}"),
        ('command = ["{socket}"]\nport_opened_by = "anyone"', "port_opened_by", "is for ports"),
    ],
)
def test_contradictions_about_where_backends_listen_are_an_error(
    file: Path, app: str, key: str, why: str
) -> None:
    (problem,) = problems(file, start=f"[app]\n{app}")
    assert problem.startswith(f"[app] {key}: ")
    assert why in problem


def test_only_the_command_is_required_of_an_app(file: Path) -> None:
    app = load(file, start='[app]\ncommand = ["x"]').sites[0].app
    assert (app.ports, app.backends, app.uses_socket) == (None, None, False)
    app = load(file, start='[app]\ncommand = ["x", "--bind=unix:{socket}"]').sites[0].app
    assert app.uses_socket


def test_a_misspelt_placeholder_is_an_error(file: Path) -> None:
    (problem,) = problems(file, start='[app]\ncommand = ["x", "{prot}"]\nports = [1, 2]')
    assert problem == "[app] command: {prot} is unknown; did you mean {port}?"


def test_other_braces_are_left_to_the_app(file: Path) -> None:
    settings = load(file, start='[app]\ncommand = ["x", "{a}", "{}", "${HOME}"]\nports = [1, 2]')
    assert settings.sites[0].app.command == ("x", "{a}", "{}", "${HOME}")
