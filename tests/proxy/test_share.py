"""Which client a request counts for."""

from ipaddress import ip_network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from blue_green.http.request import read_request
from blue_green.proxy import share
from blue_green.proxy.remote import Remote, Trust

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))

REQUEST = read_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")


def share_of(peer: str, *fields: str, unix: bool = False) -> str:
    """Of a request that came from this peer with these header fields."""
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: h", *fields, ""))
    trust = Trust((*TRUSTED, "unix:") if unix else TRUSTED)
    return share.of_request(Remote(peer, trust=trust), read_request(head.encode()))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", share.NOBODY),
    ],
)
def test_an_address_counts_for_itself_and_ipv6_for_its_network(address: str, expected: str) -> None:
    assert share.of_address(address) == expected
    assert share_of(address) == expected


def test_an_untrusted_peers_forwarding_header_does_not_count() -> None:
    assert share_of("192.0.2.1", "X-Forwarded-For: 1.2.3.4") == "192.0.2.1"
    assert share_of("192.0.2.1", "Forwarded: for=1.2.3.4") == "192.0.2.1"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("X-Forwarded-For: 1.2.3.4", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6,1.2.3.4 , 10.9.9.9,10.1.1.1", "1.2.3.4"),
        ("X-Forwarded-For: 1.2.3.4:5678", "1.2.3.4"),
        ("X-Forwarded-For: [2001:db8::1]:5678", "2001:db8::/64"),
        ("X-Forwarded-For: 2001:db8::1", "2001:db8::/64"),
        ("X-Forwarded-For: ::ffff:1.2.3.4", "1.2.3.4"),
        ("X-Forwarded-For: 10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("X-Forwarded-For: 6.6.6.6, unknown", "10.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6, unknown, 10.7.7.7", "10.7.7.7"),
        ("X-Forwarded-For: " + "10.1.1.1," * 500, "10.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6" + ", 10.1.1.1" * 500, "10.1.1.1"),
        ("Forwarded: for=1.2.3.4;proto=https;by=6.6.6.6", "1.2.3.4"),
        ('Forwarded: for=6.6.6.6, proto=https; For="[2001:db8::1]:80"', "2001:db8::/64"),
        ("Forwarded: for=6.6.6.6, for=_hidden", "10.0.0.1"),
        ("Forwarded: proto=https", "10.0.0.1"),
        ("X-Forwarded-Proto: https", "10.0.0.1"),
        ('Forwarded: for="a,for=6.6.6.6"', "10.0.0.1"),
        ('Forwarded: for="1.2.3.4;for=6.6.6.6"', "10.0.0.1"),
        ('Forwarded: host="a;for=6.6.6.6";for=1.2.3.4', "1.2.3.4"),
        ('Forwarded: for=1.2.3.4;host="a,for=6.6.6.6"', "1.2.3.4"),
        ('Forwarded: for=1.2.3.4;host="a\\",for=6.6.6.6"', "1.2.3.4"),
        ('Forwarded: for=6.6.6.6;host="a, for=1.2.3.4', "10.0.0.1"),
        ('Forwarded: for="6.6.6.6, for="1.2.3.4"', "10.0.0.1"),
        ('Forwarded: for="6.6.6.6\\, for="1.2.3.4"', "10.0.0.1"),
        ("Forwarded: for=6.6.6.6;for=1.2.3.4", "10.0.0.1"),
        ("Forwarded: for=1.2.3.4 for=6.6.6.6", "10.0.0.1"),
        ("Forwarded: for=1.2.3.4,", "10.0.0.1"),
        ("Forwarded: for=[2001:db8::1]:80", "2001:db8::/64"),
        ("Forwarded: for=6.6.6.6" + ", for=10.1.1.1" * 500, "10.1.1.1"),
        ('Forwarded: for="6.6.6.6"' + ", for=10.1.1.1" * 500, "10.0.0.1"),
        ('Forwarded: for="6.6.6.6"' + ", for=10.1.1.1" * 20, "10.1.1.1"),
        ('Forwarded: for="1.2.3.4"' + ", for=10.1.1.1" * 9, "1.2.3.4"),
    ],
)
def test_addresses_from_trusted_proxies_are_read_from_the_right(field: str, expected: str) -> None:
    assert share_of("10.0.0.1", field) == expected
    by_socket = share.NOBODY if expected == "10.0.0.1" else expected
    assert share_of("", field, unix=True) == by_socket


def test_a_long_name_is_no_address_and_is_not_cached() -> None:
    share.address_in.cache_clear()
    for number in range(10):
        assert share_of("10.0.0.1", f"X-Forwarded-For: {number}{'x' * 1000}") == "10.0.0.1"
    assert share.address_in.cache_info().currsize == 0


def test_two_forwarding_fields_are_one_list() -> None:
    fields = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4")
    assert share_of("10.0.0.1", *fields) == "1.2.3.4"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_an_unconfigured_proxy_on_this_machine_does_not_count_as_one_client(peer: str) -> None:
    assert share_of(peer, "X-Forwarded-For: 1.2.3.4") == share.NOBODY
    assert share_of(peer) == share.of_address(peer)


@pytest.mark.parametrize(
    ("peer", "field", "expected"),
    [
        ("192.0.2.1", "Accept: x", "192.0.2.1"),
        ("2001:db8::7", "Accept: x", "2001:db8::7"),
        ("192.0.2.1", "X-Forwarded-For: 1.2.3.4", "192.0.2.1"),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 2001:db8::7, 10.1.1.1", "2001:db8::7"),
        ("10.0.0.1", "Accept: x", "10.0.0.1"),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6, unknown", ""),
        ("127.0.0.1", "X-Forwarded-For: 1.2.3.4", ""),
        ("10.0.0.1", "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6, for=1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=1.2.3.4", ""),
        ("10.0.0.1", "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6", ""),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nForwarded: proto=https", ""),
        ("10.0.0.1", 'Forwarded: for="6.6.6.6\r\nForwarded: for=1.2.3.4', ""),
        ("10.0.0.1", 'Forwarded: for=6.6.6.6;host="\r\nForwarded: for="1.2.3.4"', ""),
        ("", "Accept: x", ""),
    ],
)
def test_the_address_of_a_client_is_known_for_certain_or_not_at_all(
    peer: str, field: str, expected: str
) -> None:
    request = read_request(f"GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n".encode())
    assert share.address_of(Remote(peer, trust=Trust(TRUSTED)), request) == expected


@pytest.mark.parametrize(
    ("peer", "fields", "expected"),
    [
        pytest.param("192.0.2.1", (), "192.0.2.1", id="a client"),
        pytest.param("2001:db8::1", (), "2001:db8::/64", id="a client with IPv6"),
        pytest.param("10.0.0.1", ("X-Forwarded-For: 192.0.2.1",), "192.0.2.1", id="behind a proxy"),
        pytest.param("10.0.0.1", (), share.NOBODY, id="a proxy that names none"),
        pytest.param("10.0.0.1", ("X-Forwarded-For: ?",), "10.0.0.1", id="one that hides it"),
        pytest.param("10.0.0.1", ("X-Forwarded-For: 10.0.0.7",), "10.0.0.7", id="a trusted client"),
        pytest.param("127.0.0.1", (), share.NOBODY, id="this machine"),
        pytest.param("::1", (), share.NOBODY, id="this machine with IPv6"),
        pytest.param("", (), share.NOBODY, id="a Unix socket"),
        pytest.param(
            "10.0.0.1",
            ("X-Forwarded-For: 1.2.3.4", "Forwarded: for=6.6.6.6"),
            "10.0.0.1",
            id="a client with a field of its own",
        ),
    ],
)
def test_addresses_that_many_clients_may_have_are_of_no_sole_client(
    peer: str, fields: tuple[str, ...], expected: str
) -> None:
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: h", *fields, ""))
    remote = Remote(peer, trust=Trust(TRUSTED))
    assert share.sole_client(remote, read_request(head.encode())) == expected


@given(st.lists(st.sampled_from(['"', "\\", ",", ";", "for=6.6.6.6", "for=", " ", "a"])))
def test_no_client_can_change_what_a_proxy_appends_to_its_field(parts: list[str]) -> None:
    """Whatever it sends, it is known by the address that the proxy has seen, or not at all."""
    for appended in ("for=1.2.3.4", 'for="1.2.3.4:80";host="a;b"', 'by=_x;for="1.2.3.4"'):
        text = f"{''.join(parts)}, {appended}"
        request = evolve(REQUEST, forwarding={b"forwarded": text.encode()})
        remote = Remote("10.0.0.1", trust=Trust(TRUSTED))
        assert share.address_of(remote, request) in ("", "1.2.3.4")
