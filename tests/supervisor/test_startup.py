"""Which sockets serve, and which redirect."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from blue_green.config.kinds import Count
from blue_green.config.parsing import parse
from blue_green.config.settings import Settings
from blue_green.proxy import buffer_space
from blue_green.supervisor import startup
from blue_green.system import systemd


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tls = {"certificate": "c", "key": "k", "redirect": [f"unix:{tmp_path}/redirect"]}
    document = {
        "app": {"command": ["x"], "ports": [1, 2]},
        "proxy": {"listen": [f"unix:{tmp_path}/serve"], "tls": tls},
        "state": {"directory": str(tmp_path)},
    }
    return parse(document, tmp_path / "supervisor.toml")


@contextmanager
def inherited(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """Listening sockets with these names, as systemd hands them over."""
    first = 700  # High enough to be in nobody's way.
    for number in range(len(names)):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            os.dup2(sock.fileno(), first + number)
    monkeypatch.setattr(systemd, "FIRST_LISTEN_FD", first)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", str(len(names)))
    monkeypatch.setenv("LISTEN_FDNAMES", ":".join(names))
    try:
        yield
    finally:
        for number in range(len(names)):
            os.close(first + number)


def names(sockets: startup.Sockets) -> list[Any]:
    return [sock.getsockname() for sock in sockets]


def test_addresses_of_the_settings_serve_or_redirect(settings: Settings, tmp_path: Path) -> None:
    with startup.listening(settings) as listening:
        assert names(listening.proxy) == [f"{tmp_path}/serve"]
        assert names(listening.redirecting) == [f"{tmp_path}/redirect"]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "redirect").write_text("in the way")
    with pytest.raises(startup.CannotRun, match=r"^\[proxy.tls\] redirect: cannot listen on unix:"):
        with startup.listening(settings):
            pass


def test_sockets_from_systemd_named_redirect_do_redirect(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inherited(monkeypatch, "site.socket", "redirect", "redirect", "unknown"):
        with startup.listening(settings) as listening:
            assert [sock.fileno() for sock in listening.proxy] == [700, 703]
            assert [sock.fileno() for sock in listening.redirecting] == [701, 702]
            for sock in (*listening.proxy, *listening.redirecting):
                sock.detach()


def test_sockets_from_systemd_without_names_serve(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inherited(monkeypatch, "a", "b"):
        monkeypatch.delenv("LISTEN_FDNAMES")
        with startup.listening(settings) as listening:
            assert [sock.detach() for sock in listening.proxy] == [700, 701]
            assert listening.redirecting == []


def test_nonsensical_names_of_sockets_are_refused() -> None:
    with socket.socket() as one, socket.socket() as other:
        with pytest.raises(startup.CannotRun, match=r"one named redirect needs \[proxy.tls\]"):
            startup.sort_by_name([("", one), ("redirect", other)], speaks_tls=False)
        with pytest.raises(startup.CannotRun, match="there is none to redirect to"):
            startup.sort_by_name([("redirect", one), ("redirect", other)], speaks_tls=True)


@pytest.mark.parametrize("limit", [256, 1024, 4096, 9366, 20_000, 65_536])
def test_connections_and_the_files_of_buffers_fit_in_the_open_file_limit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, limit))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    proxy = evolve(settings.proxy, max_connections=Count(50_000))
    granted = startup.within_file_limit(evolve(settings, proxy=proxy)).max_connections
    files = min(buffer_space.MOST_FILES, granted // buffer_space.CONNECTIONS_PER_FILE)
    left = limit - startup.DESCRIPTORS_OF_OUR_OWN - 2 * granted - files
    assert 0 <= left <= 3
