"""A real authority, an issuer that uses it, and certificates as clients see them."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import define
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from blue_green.certificates.acme_issuer import AcmeIssuer
from blue_green.certificates.challenges import Challenges
from blue_green.config.process_settings import TlsSettings
from tests.support.challenge_server import ChallengeServer, answering
from tests.support.false_authority import Answer, FalseReply
from tests.support.pebble import Pebble, running_pebble

STEPS = {
    "directory": "/dir",
    "nonce": "/nonce-plz",
    "account": "/sign-me-up",
    "order": "/order-plz",
    "authorization": "/authZ/",
    "challenge": "/chalZ/",
    "poll": "/my-order/",
    "finalize": "/finalize-order/",
    "certificate": "/certZ/",
}
"""The paths of pebble."""

MAIL = "you@example.com"


@define
class AcmeScene:
    """An authority, and a server that answers its challenges."""

    pebble: Pebble
    server: ChallengeServer
    challenges: Challenges
    directory: Path

    @property
    def account_file(self) -> Path:
        return self.directory / "authority" / "account.json"

    def issuer(
        self,
        *,
        can_http: bool = True,
        place: Path | None = None,
        challenges: Challenges | None = None,
        **settings: Any,
    ) -> AcmeIssuer:
        """A new issuer, as after a start of ours.

        Its account may have a place of its own, and its challenges may be others than those that
        the server answers.
        """
        known: dict[str, Any] = {
            "acme": MAIL,
            "directory": self.pebble.url,
            "directory_root": self.pebble.server_root,
        }
        tls = TlsSettings(**(known | settings))
        directory = place or self.account_file.parent
        answered = self.challenges if challenges is None else challenges
        return AcmeIssuer(tls, directory, answered, can_http=can_http)


@contextmanager
def acme_scene(directory: Path, **more: Any) -> Iterator[AcmeScene]:
    """A scene until the block ends; what `running_pebble` takes may follow."""
    challenges = Challenges()
    with answering(challenges) as server:
        ports = {"http_port": server.http_port, "tls_port": server.tls_port}
        with running_pebble(directory / "pebble", **{**ports, **more}) as pebble:
            yield AcmeScene(pebble, server, challenges, directory)


def at(step: str, reply: FalseReply) -> Answer:
    """Answer this to the requests of a step."""
    return lambda asked: reply if asked.path.startswith(STEPS[step]) else None


def certificate_for(
    host: str,
    key: ec.EllipticCurvePrivateKey | None = None,
    *,
    begins: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(hours=1),
) -> str:
    """A certificate in PEM that some key has signed for itself; its life is relative to now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def names_in(pem: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """Let the client connect to this host in memory; raise `SSLError` if it refuses. Its end."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=host)
    far = server.wrap_bio(up, down, server_side=True)
    for side in (near, far) * 2:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return near
