"""Sockets from systemd: whether they match the settings, and how a restart keeps connections."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings, TlsSettings
from blue_green.supervisor.socket_mismatch import contradictions, differences
from tests.support.site import RealSite, free_ports
from tests.waiting import until

MakeSite = Callable[..., RealSite]

LOCAL = "127.0.0.1"


def proxy(listen: Sequence[Endpoint], redirect: Sequence[Endpoint] = ()) -> ProxySettings:
    tls = TlsSettings(redirect=tuple(redirect)) if redirect else None
    return ProxySettings(listen=tuple(listen), tls=tls)


@contextmanager
def opened(*ends: Endpoint) -> Iterator[list[socket.socket]]:
    """What systemd would open for these addresses."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_server(
                    (end.host, end.port),
                    family=socket.AF_INET6 if ":" in end.host else socket.AF_INET,
                )
            )
            for end in ends
        ]


def locals_(count: int) -> list[Endpoint]:
    return [Endpoint(LOCAL, port) for port in free_ports(count)]


def test_sockets_that_match_the_settings_are_not_reported() -> None:
    one, two, three = locals_(3)
    with opened(one, two) as serving, opened(three) as redirecting:
        settings = proxy([Endpoint("localhost", one.port), two], [three])
        info = socket.getaddrinfo("localhost", one.port, type=socket.SOCK_STREAM)
        if info[0][4][0] == LOCAL:  # Where it is ::1 first, we would listen there, too.
            assert list(differences(serving, redirecting, settings)) == []
        assert list(contradictions(serving, redirecting, settings)) == []


def test_settings_without_an_address_are_not_reported() -> None:
    with opened(*locals_(1)) as serving:
        assert list(differences(serving, (), ProxySettings())) == []


def test_addresses_that_differ_from_the_settings_are_reported() -> None:
    one, two, three = locals_(3)
    with opened(one) as serving:
        [difference] = differences(serving, (), proxy([two]))
        assert difference.startswith(
            f"[proxy] listen is {two}, but systemd opened {one}, which takes "
        )
        [difference] = differences(serving, (), proxy([one], [three]))
        assert difference.startswith(f"[proxy.tls] redirect is {three}, but systemd opened no")


def test_another_order_is_reported_if_it_decides_where_to_redirect() -> None:
    one, two, three = locals_(3)
    with opened(two, one) as serving, opened(three) as redirecting:
        [difference] = differences(serving, redirecting, proxy([one, two], [three]))
        assert f"the first address in [proxy] listen is {one}" in difference
        assert list(differences(serving, (), proxy([one, two]))) == []


def test_a_socket_that_is_named_for_something_else_is_refused() -> None:
    one, two = locals_(2)
    settings = proxy([one], [two])
    with opened(one) as right, opened(two) as wrong:
        assert list(contradictions(right, wrong, settings)) == []
        [problem] = contradictions([*right, *wrong], (), settings)
        assert (
            problem == f"{two} is in [proxy.tls] redirect, so it needs FileDescriptorName=redirect"
        )
        [problem] = contradictions(wrong[:0], right, settings)
        assert problem.startswith(f"{one} is in [proxy] listen, so it must not have")


# --- a site whose sockets are held by somebody else -------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd is not here")
async def test_the_first_connection_starts_the_service_and_is_answered(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    [other] = free_ports(1)
    with site.log_file.open("ab") as log:
        site.process = subprocess.Popen(
            [
                *("systemd-socket-activate", "-l", f"{LOCAL}:{other}", "--fdname=web"),
                *(sys.executable, "-m", "blue_green", "run", str(site.config_file)),
            ],
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    holder = site.process.pid
    try:
        await site.until_logged("Listening on ")
        assert not site.state.exists(), "it has started by itself"
        site.port, named = other, site.port
        assert (await site.get("/")).status == 200
        assert (await site.status())["supervisor"]["pid"] == holder
        await site.until_logged(f"serving test on {LOCAL}:{other}\n")
        await site.until_logged(f"warning: [proxy] listen is {LOCAL}:{named}, but systemd")
        done = await site.cli("upgrade")  # The sockets are taken along, whoever opened them.
        assert done.code == 0, done.err
        assert (await site.get("/")).status == 200
        assert (await site.status())["supervisor"]["pid"] == holder
    finally:
        assert await site.stop() == 0, site.log()


async def test_no_connection_is_refused_or_lost_while_the_service_restarts(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    with opened(Endpoint(LOCAL, site.port)) as [held]:
        site.start(held=held)
        try:
            await site.until_phase("serving")
            async with site.steady_load() as answered:
                for _ in range(2):
                    before = len(answered)
                    await until("it is under load", lambda: len(answered) > before + 20)  # noqa: B023
                    assert await site.stop() == 0
                    site.start(held=held)
                    await site.until_phase("serving")
                before = len(answered)
                await until("it serves again", lambda: len(answered) > before + 20)
        finally:
            assert await site.stop() == 0, site.log()
    assert "listen is" not in site.log()
