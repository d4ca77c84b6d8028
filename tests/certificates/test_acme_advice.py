"""When to renew, as an authority advises; pebble gives no advice, so a false authority does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from blue_green.certificates import acme_advice
from blue_green.certificates.acme_issuer import AcmeIssuer
from blue_green.certificates.issuer import IssueFailed, RenewalAdvice
from tests.certificates.acme_parts import AcmeScene, acme_scene, names_in
from tests.support.false_authority import Asked, FalseAuthority, FalseReply
from tests.support.pebble import needs_pebble

pytestmark = needs_pebble

HOST = "blog.example.com"
NOW = datetime.now(UTC)
LIFE = timedelta(days=90)
INFO = "/renewal-info"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeScene]:
    seconds = int(LIFE.total_seconds())
    with acme_scene(tmp_path_factory.mktemp("scene"), validity=seconds) as scene:
        yield scene


@pytest.fixture
def issuer(scene: AcmeScene, authority: FalseAuthority, tmp_path: Path) -> AcmeIssuer:
    return scene.issuer(place=tmp_path, directory=authority.url, directory_root=authority.root)


def advise(authority: FalseAuthority, content: Any, **headers: str) -> None:
    """Let the authority give this advice."""

    def answer(asked: Asked) -> FalseReply | None:
        if asked.path.startswith(INFO):
            return FalseReply(json.dumps(content).encode(), headers=headers)
        return None

    def change(asked: Asked, reply: FalseReply) -> FalseReply:
        if asked.path != "/dir":
            return reply
        known = json.loads(reply.body)
        known["renewalInfo"] = f"https://127.0.0.1:{authority.port}{INFO}"
        return FalseReply(json.dumps(known).encode(), headers=reply.headers)

    authority.answer, authority.change = answer, change


def window(start: timedelta, end: timedelta) -> dict[str, Any]:
    moments = {"start": NOW + start, "end": NOW + end}
    return {
        "suggestedWindow": {name: f"{moment:%FT%TZ}" for name, moment in moments.items()},
        "explanationURL": "https://example.com/\x1b",
    }


def advice(issuer: AcmeIssuer, text: str) -> RenewalAdvice:
    found = issuer.advice(text)
    assert found is not None
    assert found.renew_at is not None
    return found


def test_an_authority_without_advice_has_no_say(issuer: AcmeIssuer) -> None:
    assert issuer.advice(issuer.issue(HOST, 0)) is None


def test_a_moment_in_the_window_is_chosen(authority: FalseAuthority, issuer: AcmeIssuer) -> None:
    advise(authority, window(timedelta(days=30), timedelta(days=32)), **{"Retry-After": "7200"})
    text = issuer.issue(HOST, 0)
    found = {advice(issuer, text).renew_at for _ in range(5)}
    assert len(found) > 1
    assert all(timedelta(days=29) < at - NOW < timedelta(days=33) for at in found if at)
    again = advice(issuer, text).ask_again_at - datetime.now(UTC)
    assert again.total_seconds() == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("field", "soonest", "latest"),
    [
        ("0", timedelta(seconds=50), timedelta(seconds=61)),
        ("9999999", timedelta(hours=23), timedelta(hours=25)),
        ("never", timedelta(hours=5), timedelta(hours=7)),
    ],
)
def test_the_next_question_is_a_minute_to_a_day_away(
    authority: FalseAuthority,
    issuer: AcmeIssuer,
    field: str,
    soonest: timedelta,
    latest: timedelta,
) -> None:
    advise(authority, window(timedelta(days=30), timedelta(days=32)), **{"Retry-After": field})
    again = advice(issuer, issuer.issue(HOST, 0)).ask_again_at
    assert soonest < again - datetime.now(UTC) < latest


def test_no_advice_lets_a_certificate_expire(authority: FalseAuthority, issuer: AcmeIssuer) -> None:
    far = timedelta(days=300_000)
    advise(authority, window(far, far))
    at = advice(issuer, issuer.issue(HOST, 0)).renew_at
    assert at is not None
    assert timedelta(days=80) < at - NOW < timedelta(days=82)


def test_a_revoked_certificate_is_renewed_at_once(
    authority: FalseAuthority, issuer: AcmeIssuer
) -> None:
    advise(authority, window(timedelta(days=-3), timedelta(days=-2)))
    at = advice(issuer, issuer.issue(HOST, 0)).renew_at
    assert at is not None
    assert at < NOW


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"suggestedWindow": {}}, {"suggestedWindow": {"start": "1", "end": 2}}],
)
def test_garbage_is_a_failure(authority: FalseAuthority, issuer: AcmeIssuer, content: Any) -> None:
    advise(authority, content)
    text = issuer.issue(HOST, 0)
    with pytest.raises(IssueFailed, match="sent a response that"):
        issuer.advice(text)


def test_the_next_order_replaces_the_certificate(
    authority: FalseAuthority, issuer: AcmeIssuer
) -> None:
    advise(authority, window(timedelta(days=-3), timedelta(days=-2)))
    text = issuer.issue(HOST, 0)
    advice(issuer, text)
    assert names_in(issuer.issue(HOST, 0)) == [HOST]
    name = acme_advice.identifier(x509.load_pem_x509_certificate(text.encode()))
    assert [order.get("replaces") for order in authority.orders()] == [None, name]
    assert any(asked.path == f"{INFO}/{name}" for asked in authority.asked)


def test_an_order_after_one_that_failed_still_replaces_it(
    authority: FalseAuthority, issuer: AcmeIssuer
) -> None:
    advise(authority, window(timedelta(days=-3), timedelta(days=-2)))
    advice(issuer, issuer.issue(HOST, 0))
    others = authority.answer
    authority.answer = lambda asked: FalseReply(b"", 502) if "/certZ/" in asked.path else None
    with pytest.raises(IssueFailed):
        issuer.issue(HOST, 0)
    authority.answer = others
    issuer.issue(HOST, 0)
    assert ["replaces" in order for order in authority.orders()] == [False, True, True]


@pytest.mark.parametrize(("kind", "status"), [("alreadyReplaced", 409), ("malformed", 400)])
def test_an_order_that_must_not_replace_it_is_placed_without(
    authority: FalseAuthority, issuer: AcmeIssuer, kind: str, status: int
) -> None:
    advise(authority, window(timedelta(days=-3), timedelta(days=-2)))
    advice(issuer, issuer.issue(HOST, 0))
    others = authority.answer

    def answer(asked: Asked) -> FalseReply | None:
        if asked.path != "/order-plz" or "replaces" not in authority.orders()[-1]:
            return others(asked)
        body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": "no"}
        return FalseReply(json.dumps(body).encode(), status)

    authority.answer = answer
    assert names_in(issuer.issue(HOST, 0)) == [HOST]
    assert ["replaces" in order for order in authority.orders()] == [False, True, False]


def test_the_identifier_is_that_of_the_example_in_the_rfc() -> None:
    """RFC 9773 section 4.1: the serial number has a high first bit, which takes a byte more."""
    certificate = x509.load_pem_x509_certificate(EXAMPLE.encode())
    assert acme_advice.identifier(certificate) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


EXAMPLE = """-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
