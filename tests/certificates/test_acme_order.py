"""Orders at a real authority that fail, and orders at one that changes its responses."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issuer import IssueFailed
from tests.certificates.acme_parts import STEPS, AcmeScene, at, names_in
from tests.support.false_authority import Asked, FalseAuthority, FalseReply
from tests.support.pebble import needs_pebble

pytestmark = needs_pebble

HOST = "blog.example.com"
NOW = datetime.now(UTC)


# --- hosts that a real authority cannot validate ---


@pytest.mark.parametrize(("attempt", "port"), [(0, 80), (1, 443)])
def test_a_challenge_that_another_server_answers_is_explained(
    scene: AcmeScene, tmp_path: Path, attempt: int, port: int
) -> None:
    issuer = scene.issuer(place=tmp_path, challenges=Challenges())  # Nobody answers these.
    with pytest.raises(IssueFailed) as failed:
        issuer.issue(HOST, attempt)
    assert f"did not get our response from {HOST} on port {port}" in str(failed.value)


def test_a_host_without_dns_is_explained(scene: AcmeScene) -> None:
    scene.pebble.fail_lookups("lost.example.com")
    with pytest.raises(IssueFailed) as failed:
        scene.issuer().issue("lost.example.com", 0)
    assert "lost.example.com" in str(failed.value)
    assert "A and AAAA" in str(failed.value)


@pytest.mark.parametrize(("attempt", "port"), [(0, 80), (1, 443)])
def test_a_host_whose_address_leads_elsewhere_is_explained(
    scene: AcmeScene, attempt: int, port: int
) -> None:
    scene.pebble.set_addresses("elsewhere.example.com", ipv4="192.0.2.1")
    with pytest.raises(IssueFailed) as failed:
        scene.issuer().issue("elsewhere.example.com", attempt)
    assert f"its port {port} is reachable from the internet" in str(failed.value)
    assert scene.challenges == Challenges()


def test_one_host_that_fails_does_not_keep_another_from_its_certificate(scene: AcmeScene) -> None:
    scene.pebble.fail_lookups("lost.example.com")
    issuer = scene.issuer()
    with ThreadPoolExecutor(2) as threads:
        bad = threads.submit(issuer.issue, "lost.example.com", 0)
        good = threads.submit(issuer.issue, HOST, 0)
    assert names_in(good.result()) == [HOST]
    assert isinstance(bad.exception(), IssueFailed)


def test_an_authority_that_offers_only_a_dns_challenge_is_explained(
    authority: FalseAuthority, failure: Callable[..., IssueFailed]
) -> None:
    def keep_dns(asked: Asked, reply: FalseReply) -> FalseReply:
        if not asked.path.startswith(STEPS["authorization"]):
            return reply
        found = json.loads(reply.body)
        kept = [body for body in found["challenges"] if body["type"] == "dns-01"]
        return attrs.evolve(reply, body=json.dumps({**found, "challenges": kept}).encode())

    authority.change = keep_dns
    assert 'only what we cannot do ("dns-01")' in str(failure())


# --- problems that an authority reports ---


def problem(kind: str, status: int = 403, **headers: str) -> FalseReply:
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": "because"}
    fields = {"Content-Type": "application/problem+json", **headers}
    return FalseReply(json.dumps(body).encode(), status, fields)


@pytest.mark.parametrize(
    ("field", "soonest", "latest"),
    [
        ("3600", timedelta(minutes=59), timedelta(minutes=61)),
        ("0", timedelta(minutes=-1), timedelta(minutes=1)),
        ("9" * 4000, timedelta(days=6), timedelta(days=8)),
        (f"{NOW + timedelta(hours=5):%a, %d %b %Y %T} GMT", timedelta(hours=4), timedelta(hours=6)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=6), timedelta(days=8)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", timedelta(minutes=-1), timedelta(minutes=1)),
    ],
    ids=["seconds", "now", "absurd seconds", "a date", "an absurd date", "a date in the past"],
)
def test_a_rate_limit_says_until_when(
    authority: FalseAuthority,
    failure: Callable[..., IssueFailed],
    field: str,
    soonest: timedelta,
    latest: timedelta,
) -> None:
    authority.answer = at("order", problem("rateLimited", 429, **{"Retry-After": field}))
    failed = failure()
    assert failed.retry_after is not None
    assert soonest < failed.retry_after - datetime.now(UTC) < latest
    assert f"wants no more until {failed.retry_after:%F %T} UTC" in str(failed)


@pytest.mark.parametrize("field", [None, "", "soon", "-5", "1e9", "nan", "Fri, 99 Foo 2026"])
def test_a_rate_limit_without_a_moment_has_none(
    authority: FalseAuthority, failure: Callable[..., IssueFailed], field: str | None
) -> None:
    headers = {} if field is None else {"Retry-After": field}
    authority.answer = at("order", problem("rateLimited", 429, **headers))
    failed = failure()
    assert failed.retry_after is None
    assert 'had too many requests: "because"' in str(failed)


def test_a_wrong_content_type_does_not_matter(
    authority: FalseAuthority, issue: Callable[..., str]
) -> None:
    def change(asked: Asked, reply: FalseReply) -> FalseReply:
        kept = {k: v for k, v in reply.headers.items() if k.lower() != "content-type"}
        return attrs.evolve(reply, headers={**kept, "Content-Type": "text/plain"})

    authority.change = change
    assert names_in(issue()) == [HOST]


# --- what we ask for ---


def test_a_profile_is_asked_for(authority: FalseAuthority, issue: Callable[..., str]) -> None:
    issue(profile="shortlived")
    assert [order["profile"] for order in authority.orders()] == ["shortlived"]


def test_no_profile_is_asked_for_by_default(
    authority: FalseAuthority, issue: Callable[..., str]
) -> None:
    issue()
    assert authority.orders() == [{"identifiers": [{"type": "dns", "value": HOST}]}]
