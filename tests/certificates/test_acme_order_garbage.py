"""Orders at an authority whose responses make no sense, or do not end."""

import json
from collections.abc import Callable

import attrs
import pytest

from blue_green.certificates import acme_budget
from blue_green.certificates.issuer import IssueFailed
from tests.certificates.acme_parts import STEPS, at, certificate_for, names_in
from tests.support.false_authority import Asked, FalseAuthority, FalseReply
from tests.support.pebble import needs_pebble

pytestmark = needs_pebble

HOST = "blog.example.com"

ALL_FIELDS = (
    "status url type token challenges identifier authorizations finalize certificate newNonce "
    "newAccount newOrder error"
)
GARBAGE = {
    "nothing": FalseReply(b""),
    "a page": FalseReply(b"<html>Welcome to nginx!</html>", headers={"Content-Type": "text/html"}),
    "a list": FalseReply(b"[]"),
    "a number": FalseReply(b"7"),
    "null": FalseReply(b"null"),
    "an empty object": FalseReply(b"{}"),
    "depth": FalseReply(b"[" * 100_000),
    "nulls": FalseReply(json.dumps(dict.fromkeys(ALL_FIELDS.split())).encode()),
    "not UTF-8": FalseReply(b'{"status": "\xff"}'),
    "a big number": FalseReply(b'{"status": ' + b"9" * 5000 + b"}"),
    "an error page": FalseReply(b"<html>", 502, {"Content-Type": "text/html"}),
    "an odd problem": FalseReply(b'{"type": 7, "detail": ["\x1b[2J"], "subproblems": 3}', 400),
    "a problem": FalseReply(
        json.dumps(
            {
                "type": "urn:ietf:params:acme:error:serverInternal",
                "detail": "\x1b[2J\u202e" + "long " * 10_000,
            }
        ).encode(),
        500,
    ),
    "a conflict": FalseReply(b"{}", 409),
    "a redirect": FalseReply(b"", 302, {"Location": "https://[::1"}),
}


@pytest.mark.parametrize("step", STEPS)
def test_garbage_at_any_step_is_an_explained_failure(
    authority: FalseAuthority,
    failure: Callable[..., IssueFailed],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr(acme_budget, "ORDER_TIMEOUT", 1)
    for kind, reply in GARBAGE.items():
        headers = {**reply.headers, "Replay-Nonce": "bm9uY2U"}
        authority.answer = at(step, attrs.evolve(reply, headers=headers))
        if step in ("nonce", "challenge") and reply.status == 200:
            continue  # Nobody reads these.
        assert str(failure()).startswith(f"127.0.0.1:{authority.port} "), kind


def test_an_order_that_stays_processing_ends_in_time(
    authority: FalseAuthority,
    failure: Callable[..., IssueFailed],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stay(asked: Asked, reply: FalseReply) -> FalseReply:
        if not asked.path.startswith((STEPS["poll"], STEPS["finalize"])):
            return reply
        found = {**json.loads(reply.body), "status": "processing"}
        headers = {**reply.headers, "Retry-After": "100000"}
        return attrs.evolve(reply, body=json.dumps(found).encode(), headers=headers)

    monkeypatch.setattr(acme_budget, "ORDER_TIMEOUT", 2)
    authority.change = stay
    assert "has not finished the order for blog.example.com within 2 s" in str(failure())


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ("", "no chain of certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no chain"),
        (certificate_for(HOST), "a certificate for another key"),
        ("<html>", "no chain of certificates"),
    ],
    ids=["nothing", "garbage", "another key", "a page"],
)
def test_what_is_no_certificate_for_us_is_not_used(
    authority: FalseAuthority, failure: Callable[..., IssueFailed], chain: str, why: str
) -> None:
    def swap(asked: Asked, reply: FalseReply) -> FalseReply:
        return (
            attrs.evolve(reply, body=chain.encode())
            if asked.path.startswith(STEPS["certificate"])
            else reply
        )

    authority.change = swap
    assert f"issued for {HOST} {why}" in str(failure())


def test_the_text_around_certificates_is_dropped(
    authority: FalseAuthority, issue: Callable[..., str]
) -> None:
    def add(asked: Asked, reply: FalseReply) -> FalseReply:
        if not asked.path.startswith(STEPS["certificate"]):
            return reply
        return attrs.evolve(reply, body=b"Bag Attributes\x1b[2J\n" + reply.body + b"\nthe end")

    authority.change = add
    text = issue()
    assert names_in(text) == [HOST]
    assert "Bag Attributes" not in text
    assert "the end" not in text
