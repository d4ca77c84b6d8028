"""Whether an authority can find and reach the hosts, as far as that can be seen from here."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from blue_green.preflight.checks import acme_authority, acme_hosts
from blue_green.preflight.checks.acme_hosts import Lookup, is_ours, look_up
from tests.support.check_context import CheckedSite, only, troubles

HERE, ELSEWHERE = "203.0.113.5", "192.0.2.7"
LOOPBACK = "127.0.1.1"
ACME = {"acme": "you@example.com", "redirect": []}

Check = Callable[[Mapping[str, Lookup]], Sequence[tuple[str, str, str]]]


@pytest.fixture
def check(subject: CheckedSite, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks a site with these hosts; returns what is found about them."""

    async def no_authority(_: object) -> object:
        return iter(())

    monkeypatch.setattr(acme_authority, "authority", no_authority)
    monkeypatch.setattr(acme_hosts, "is_ours", (HERE, LOOPBACK).__contains__)

    def check(lookups: Mapping[str, Lookup]) -> Sequence[tuple[str, str, str]]:
        monkeypatch.setattr(acme_hosts, "look_up", lookups.__getitem__)
        subject.sections = {"hosts": list(lookups), **subject.sections}
        found = subject.check(proxy={"tls": ACME})
        return [(one.verdict, one.text, one.advice) for one in found if one.about == "hosts"]

    return check


def test_hosts_with_an_address_of_this_machine_pass(check: Check) -> None:
    [(verdict, text, _)] = check({"blog.example.com": Lookup([HERE])})
    assert (verdict, text) == ("passed", "blog.example.com: 203.0.113.5 in DNS, as on this machine")


def test_a_host_that_is_not_in_dns_is_a_failure(check: Check) -> None:
    [(verdict, text, advice)] = check({"blog.example.com": Lookup()})
    assert (verdict, text) == ("failed", "blog.example.com: no address found in DNS")
    assert advice.startswith("add an A record")


def test_an_address_of_another_machine_is_a_warning_because_of_nat(check: Check) -> None:
    [(verdict, text, advice)] = check({"blog.example.com": Lookup([ELSEWHERE])})
    assert (verdict, "no address of this machine" in text) == ("warned", True)
    assert "behind NAT or a load balancer" in advice


def test_a_loopback_address_is_a_warning_because_it_may_come_from_a_local_file(
    check: Check,
) -> None:
    [(verdict, text, advice)] = check({"blog.example.com": Lookup([LOOPBACK])})
    assert (verdict, text.startswith(f"blog.example.com: {LOOPBACK}, which other")) == (
        "warned", True
    )  # fmt: skip
    assert advice.startswith("look at what DNS has: dig")


def test_an_ipv6_address_of_another_machine_is_a_warning_although_ipv4_is_right(
    check: Check,
) -> None:
    [(verdict, text, _)] = check({"blog.example.com": Lookup([HERE, "2001:db8::7"])})
    assert verdict == "warned"
    assert "2001:db8::7 in DNS, which is no address of this machine, besides 203.0.113.5" in text


def test_a_resolver_that_fails_is_a_warning(check: Check) -> None:
    [(verdict, text, _)] = check({"blog.example.com": Lookup(problem="no servers")})
    assert (verdict, text) == (
        "warned", "blog.example.com: cannot be looked up in DNS: no servers"
    )  # fmt: skip


def test_many_hosts_with_the_same_problem_are_one_finding(check: Check) -> None:
    hosts = {f"{number}.example.com": Lookup([ELSEWHERE]) for number in range(100)}
    [(_, text, _)] = check(hosts)
    assert "4.example.com and 95 more hosts: " in text


def test_the_time_for_all_lookups_is_bounded_and_so_is_their_number_at_once(
    subject: CheckedSite, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme_hosts, "TIMEOUT", 0.2)
    release, running = threading.Event(), []

    class Hanging(dict[str, Lookup]):
        def __getitem__(self, name: str) -> Lookup:
            running.append(name)
            release.wait()
            return Lookup([HERE])

    try:
        found = check(Hanging.fromkeys((f"{number}.example.com" for number in range(50)), Lookup()))
        assert len(running) == acme_hosts.AT_ONCE
    finally:
        release.set()
    assert [text.endswith("in DNS: no answer within 0.2 s") for _, text, _ in found] == [True]


def test_an_address_is_ours_only_if_a_socket_can_be_bound_to_it() -> None:
    assert is_ours(LOOPBACK)
    assert not is_ours(ELSEWHERE)
    assert not is_ours("2001:db8::7")


def test_a_name_is_looked_up_as_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_up("127.0.0.1") == Lookup(["127.0.0.1"])
    assert look_up("[::1]") == Lookup(["::1"])

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert look_up("nowhere.example.com") == Lookup()


def test_other_ports_than_80_and_443_are_a_warning(subject: CheckedSite, check: Check) -> None:
    check({"blog.example.com": Lookup([HERE])})
    found = only(subject.check(proxy={"tls": ACME}))
    assert (found.verdict, found.about) == ("warned", "[proxy.tls] acme")
    assert f"the addresses here are 127.0.0.1:{subject.port}" in found.text


@pytest.mark.parametrize(
    "proxy",
    [
        {"listen": ["127.0.0.1:443"]},
        {"listen": ["[::]:444"], "tls": {**ACME, "redirect": ["127.0.0.1:80"]}},
    ],
)
def test_either_of_both_ports_is_enough(
    subject: CheckedSite, check: Check, proxy: dict[str, object]
) -> None:
    check({"blog.example.com": Lookup([HERE])})
    assert troubles(subject.check(proxy={"tls": ACME, **proxy})) == []


def test_a_redirect_to_an_address_that_only_this_machine_can_reach_is_a_warning(
    subject: CheckedSite, check: Check
) -> None:
    check({"blog.example.com": Lookup([HERE])})
    tls = {**ACME, "redirect": ["127.0.0.1:80"]}
    [found] = troubles(subject.check(proxy={"tls": tls}))
    assert (found.verdict, found.about) == ("warned", "[proxy] listen")
    assert found.text.endswith(f"127.0.0.1:{subject.port}, to which 127.0.0.1:80 redirects")
    assert found.advice.startswith('set listen = ["[::]:443"]')


def test_hosts_are_not_looked_up_without_an_authority(
    subject: CheckedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme_hosts, "look_up", pytest.fail)
    subject.sections = {"hosts": ["blog.example.com"], **subject.sections}
    assert troubles(subject.check()) == []
