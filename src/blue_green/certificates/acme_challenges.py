"""The proofs that a host is ours: http-01 (RFC 8555 section 8.3) and tls-alpn-01 (RFC 8737)."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from acme import messages
from acme.challenges import (
    HTTP01,
    Challenge,
    ChallengeResponse,
    KeyAuthorizationChallenge,
    KeyAuthorizationChallengeResponse,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from josepy.jwk import JWK

from blue_green.certificates import pem
from blue_green.certificates.challenges import ACME_TLS, Challenges
from blue_green.certificates.issued import Subject, pem_of_certificate, pem_of_key, subject_name

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
LIFE = timedelta(days=1)


class NoChallenge(Exception):
    """The authority offers no kind of challenge that we can answer. str() lists what it offers."""


@ChallengeResponse.register
class TlsAlpn01Response(KeyAuthorizationChallengeResponse):
    """What is posted when the answer to a `TlsAlpn01` is in place."""

    typ = "tls-alpn-01"


@Challenge.register
class TlsAlpn01(KeyAuthorizationChallenge):
    """The challenge tls-alpn-01, which `acme` does not know."""

    response_cls = TlsAlpn01Response
    typ = TlsAlpn01Response.typ

    def validation(self, account_key: JWK, **unused: object) -> bytes:
        """The content of the extension `ACME_IDENTIFIER`."""
        digest = sha256(self.key_authorization(account_key).encode()).digest()
        return bytes((0x04, len(digest))) + digest  # An OCTET STRING in DER.


def choose(
    offered: Sequence[messages.ChallengeBody], can_http: bool, attempt: int
) -> messages.ChallengeBody:
    """The challenge to answer, another one at each attempt; raise `NoChallenge`."""
    kinds = (HTTP01, TlsAlpn01) if can_http else (TlsAlpn01,)
    possible = [body for kind in kinds for body in offered if isinstance(body.chall, kind)]
    if not possible:
        raise NoChallenge(", ".join(_name(body) for body in offered) or "nothing")
    return possible[attempt % len(possible)]


@contextmanager
def answered(
    challenge: KeyAuthorizationChallenge,
    host: Subject,
    key: JWK,
    challenges: Challenges,
) -> Iterator[None]:
    """Answer a challenge for this host within the block."""
    if isinstance(challenge, HTTP01):
        token = challenge.encode("token")
        challenges.http[token] = challenge.validation(key)
        try:
            yield
        finally:
            challenges.http.pop(token, None)
    else:
        # Clients send an address in this form (RFC 8738 section 6).
        name = host if isinstance(host, str) else host.reverse_pointer
        challenges.tls[name] = _context(host, challenge.validation(key))
        try:
            yield
        finally:
            challenges.tls.pop(name, None)


def _name(body: messages.ChallengeBody) -> str:
    return str(body.chall.to_partial_json().get("type"))


def _context(host: Subject, proof: bytes) -> ssl.SSLContext:
    """A context whose certificate has this proof in it (RFC 8737 section 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([subject_name(host)]), critical=True)
        .add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, proof), critical=True)
        .sign(key, SHA256())
    )
    context = pem.server_context()
    context.set_alpn_protocols([ACME_TLS])
    with pem.in_memory(pem_of_key(key) + pem_of_certificate(certificate)) as file:
        context.load_cert_chain(file)
    return context
