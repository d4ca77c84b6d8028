"""The keys of session tickets, and how long they live."""

import ssl
import time
from weakref import WeakSet

import pytest

from blue_green.certificates import sessions as module
from blue_green.certificates.pem import HTTP1
from blue_green.certificates.sessions import KEY_LIFETIME, Sessions
from tests.raw.tls_client import entry_for


def test_the_keys_of_tickets_are_replaced_twice_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sessions = Sessions()
    first = sessions.context()
    now += KEY_LIFETIME - 1
    assert sessions.context() is first
    now += 2
    assert sessions.context() is not first


def test_sessions_of_clients_without_tickets_take_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FEWEST", 5)
    monkeypatch.setattr(module, "MOST_CACHED", 5)
    sessions, loaded = Sessions(), entry_for("localhost").loaded
    assert loaded is not None
    seen = set()
    for _ in range(20):
        context = sessions.context()
        seen.add(context)
        assert context.session_stats()["number"] <= 5
        end_properly(context, loaded.contexts.offering(HTTP1))
    assert len(seen) == 4


def test_the_caches_of_many_hosts_together_take_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FEWEST", 2)
    monkeypatch.setattr(Sessions, "_all", WeakSet())
    loaded = entry_for("localhost").loaded
    assert loaded is not None
    hosts = [Sessions() for _ in range(10)]
    monkeypatch.setattr(module, "MOST_IN_ALL", 50)
    for host in hosts:
        for _ in range(8):
            end_properly(host.context(), loaded.contexts.offering(HTTP1))
    cached = [host.context().session_stats()["number"] for host in hosts]
    assert 10 <= sum(cached) <= 50
    assert max(cached) <= 5


def end_properly(sessions: ssl.SSLContext, certificate: ssl.SSLContext) -> None:
    """A connection of a client that takes no tickets, and that both sides end: OpenSSL keeps it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(down, up)
    server = sessions.wrap_bio(up, down, server_side=True)
    server.context = certificate
    for step in ("do_handshake", "do_handshake", "do_handshake", "unwrap", "unwrap"):
        for side in (client, server):
            try:
                getattr(side, step)()
            except ssl.SSLWantReadError:
                continue
