"""Which challenge is answered, and with what."""

import ssl
from hashlib import sha256

import pytest
from acme import messages
from acme.challenges import DNS01, HTTP01, Challenge
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from blue_green.certificates import acme_challenges, issued
from blue_green.certificates.acme_challenges import ACME_IDENTIFIER, NoChallenge, TlsAlpn01
from blue_green.certificates.challenges import ACME_TLS, Challenges
from tests.certificates.acme_parts import handshake

HOST = "blog.example.com"
KEY = JWKEC(key=ComparableECKey(ec.generate_private_key(ec.SECP256R1())))
TOKEN = b"token of 16 bytes"
HTTP, TLS, DNS = HTTP01(token=TOKEN), TlsAlpn01(token=TOKEN), DNS01(token=TOKEN)


def offered(*kinds: Challenge) -> list[messages.ChallengeBody]:
    return [messages.ChallengeBody(chall=kind) for kind in kinds]


@pytest.mark.parametrize(
    ("can_http", "kinds", "attempt", "expected"),
    [
        (True, (DNS, TLS, HTTP), 0, HTTP),
        (True, (DNS, TLS, HTTP), 1, TLS),
        (True, (DNS, TLS, HTTP), 2, HTTP),
        (True, (HTTP, DNS), 1, HTTP),
        (True, (TLS,), 0, TLS),
        (False, (HTTP, TLS), 0, TLS),
        (False, (HTTP, TLS), 1, TLS),
    ],
)
def test_attempts_take_turns_among_what_is_possible(
    can_http: bool, kinds: tuple[Challenge, ...], attempt: int, expected: Challenge
) -> None:
    assert acme_challenges.choose(offered(*kinds), can_http, attempt).chall == expected


@pytest.mark.parametrize(
    ("kinds", "named"), [((), "nothing"), ((DNS,), "dns-01"), ((DNS, HTTP), "dns-01, http-01")]
)
def test_what_cannot_be_answered_is_named(kinds: tuple[Challenge, ...], named: str) -> None:
    with pytest.raises(NoChallenge, match=f"^{named}$"):
        acme_challenges.choose(offered(*kinds), False, 0)


def test_an_unknown_kind_is_passed_over() -> None:
    unknown = messages.ChallengeBody.from_json({"type": "new-02", "url": "https://x", "a": 1})
    assert acme_challenges.choose([unknown, *offered(TLS)], True, 0).chall == TLS
    with pytest.raises(NoChallenge, match="new-02"):
        acme_challenges.choose([unknown], True, 0)


def test_http_is_answered_within_the_block() -> None:
    challenges = Challenges()
    with acme_challenges.answered(HTTP, HOST, KEY, challenges):
        assert challenges.http == {HTTP.encode("token"): HTTP.key_authorization(KEY)}
    assert challenges == Challenges()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (HOST, HOST),
        ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("[::1]", f"1.{'0.' * 31}ip6.arpa"),
    ],
)
def test_tls_is_answered_with_a_proof_in_the_certificate(host: str, name: str) -> None:
    challenges = Challenges()
    with acme_challenges.answered(TLS, issued.subject(host), KEY, challenges):
        certificate = certificate_of(challenges.tls[name], name)
    assert challenges == Challenges()
    proof = certificate.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    digest = sha256(TLS.key_authorization(KEY).encode()).digest()
    assert proof.critical
    assert proof.value.public_bytes() == b"\x04\x20" + digest
    assert issued.subjects_of(certificate) == [host.strip("[]")]


def certificate_of(server: ssl.SSLContext, name: str) -> x509.Certificate:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_alpn_protocols([ACME_TLS])
    connection = handshake(server, client, name)
    assert connection.selected_alpn_protocol() == ACME_TLS
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_a_failure_in_the_block_removes_the_answer() -> None:
    challenges = Challenges()
    for kind in (HTTP, TLS):
        with (
            pytest.raises(ZeroDivisionError),
            acme_challenges.answered(kind, HOST, KEY, challenges),
        ):
            raise ZeroDivisionError
    assert challenges == Challenges()
