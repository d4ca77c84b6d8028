"""Which clients a canary is for."""

import re
from functools import cache

from blue_green.http.request import Request, read_request
from blue_green.proxy.canary import COOKIE, Canary
from blue_green.proxy.remote import Remote, Trust

ADDRESSES = [f"203.0.{high}.{low}" for high in range(5) for low in range(200)]
TRUST = Trust(())


@cache
def a_request(*lines: str) -> Request:
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: x", *lines))
    return read_request(f"{head}\r\n".encode())


def a_canary(revision: str = "a", percent: float = 10) -> Canary:
    return Canary("blog", revision, percent, 600)


def admitted(canary: Canary, address: str, *lines: str) -> bool:
    return canary.admit(Remote(address, trust=TRUST), a_request(*lines), "")[0]


def everybody_in(canary: Canary) -> set[str]:
    return {address for address in ADDRESSES if admitted(canary, address)}


def cookie_for(canary: Canary, address: str) -> str:
    _, made = canary.admit(Remote(address, trust=TRUST), a_request(), "")
    return made.decode().partition(";")[0]


def test_the_share_of_addresses_is_as_asked() -> None:
    for percent in (1, 10, 50):
        share = len(everybody_in(a_canary(percent=percent))) / len(ADDRESSES) * 100
        sigma = (percent * (100 - percent) / len(ADDRESSES)) ** 0.5
        assert abs(share - percent) < 4 * sigma
    assert everybody_in(a_canary(percent=0)) == set()
    assert everybody_in(a_canary(percent=100)) == set(ADDRESSES)


def test_a_client_gets_the_same_answer_each_time_and_after_a_restart() -> None:
    assert everybody_in(a_canary()) == everybody_in(a_canary())


def test_the_next_canary_is_for_others() -> None:
    one, two = everybody_in(a_canary("a", 50)), everybody_in(a_canary("b", 50))
    assert 0.4 < len(one & two) / len(one) < 0.6


def test_a_larger_share_keeps_who_is_in_and_a_smaller_one_adds_nobody() -> None:
    canary = a_canary()
    first = everybody_in(canary)
    canary.percent = 30
    assert first < everybody_in(canary)
    canary.percent = 3
    assert everybody_in(canary) < first


def test_the_cookie_counts_when_the_address_changes() -> None:
    canary = a_canary(percent=50)
    inside = everybody_in(canary)
    for address in ADDRESSES[:50]:
        cookie = cookie_for(canary, address)
        assert all(
            admitted(canary, other, f"Cookie: {cookie}") == (address in inside)
            for other in ADDRESSES[50:60]
        )


def test_the_cookie_has_no_more_than_the_canary_and_a_number() -> None:
    canary = a_canary()
    _, cookie = canary.admit(Remote(ADDRESSES[0], trust=TRUST), a_request(), "/api")
    pattern = rb"%b=[0-9a-f]{12}\.\d{1,4}; Path=/api; Max-Age=600; HttpOnly; SameSite=Lax" % COOKIE
    assert re.fullmatch(pattern, cookie)


def test_a_client_that_has_the_cookie_gets_no_other() -> None:
    canary = a_canary()
    request = a_request(f"Cookie: {cookie_for(canary, ADDRESSES[0])}")
    assert canary.admit(Remote(ADDRESSES[1], trust=TRUST), request, "")[1] == b""


def test_the_cookie_of_another_canary_means_nothing() -> None:
    canary, older = a_canary(percent=50), a_canary("older", 50)
    inside = everybody_in(canary)
    for address in ADDRESSES[:50]:
        cookie = cookie_for(older, ADDRESSES[-1])
        request = a_request(f"Cookie: {cookie}")
        is_in, made = canary.admit(Remote(address, trust=TRUST), request, "")
        assert is_in == (address in inside)
        assert made


def test_broken_cookies_mean_nothing() -> None:
    canary = a_canary(percent=100)
    good = cookie_for(canary, ADDRESSES[0])
    name, _, value = good.partition("=")
    for broken in ("", "1", value + "00000", value + "x", "." + value, value.replace(".", "")):
        request = a_request(f"Cookie: {name}={broken}")
        assert canary.admit(Remote(ADDRESSES[0], trust=TRUST), request, "")[1]


def test_clients_behind_an_unknown_local_proxy_differ_by_what_it_says() -> None:
    canary = a_canary(percent=50)
    shares = [
        admitted(canary, "127.0.0.1", f"X-Forwarded-For: {address}") for address in ADDRESSES[:400]
    ]
    assert 140 < sum(shares) < 260
    again = [
        admitted(canary, "127.0.0.1", f"X-Forwarded-For: {address}") for address in ADDRESSES[:400]
    ]
    assert shares == again


def test_clients_without_an_address_are_drawn_by_chance_and_keep_the_cookie() -> None:
    canary = a_canary(percent=50)
    drawn = [canary.admit(Remote("", trust=TRUST), a_request(), "") for _ in range(400)]
    assert 140 < sum(is_in for is_in, _ in drawn) < 260
    for is_in, made in drawn[:50]:
        cookie = made.decode().partition(";")[0]
        assert admitted(canary, "", f"Cookie: {cookie}") == is_in


def test_the_cookie_is_only_sent_over_tls_if_it_was_set_over_tls() -> None:
    remote = Remote(ADDRESSES[0], trust=TRUST, scheme=b"https")
    assert a_canary().admit(remote, a_request(), "")[1].endswith(b"; Secure")
