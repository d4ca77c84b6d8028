"""A real authority, an issuer that uses it, and certificates as clients see them."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import define
from cryptography import x509

from blue_green.certificates.acme_issuer import AcmeIssuer
from blue_green.certificates.challenges import Challenges
from blue_green.config.process_settings import TlsSettings
from tests.support.challenge_server import ChallengeServer, answering
from tests.support.pebble import Pebble, running_pebble

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

    def issuer(self, *, can_http: bool = True, **settings: Any) -> AcmeIssuer:
        """A new issuer, as after a start of ours."""
        known: dict[str, Any] = {
            "acme": MAIL,
            "directory": self.pebble.url,
            "directory_root": self.pebble.server_root,
        }
        tls = TlsSettings(**(known | settings))
        return AcmeIssuer(tls, self.account_file.parent, self.challenges, can_http=can_http)


@contextmanager
def acme_scene(directory: Path, **more: Any) -> Iterator[AcmeScene]:
    """A scene until the block ends; what `running_pebble` takes may follow."""
    challenges = Challenges()
    with answering(challenges) as server:
        ports = {"http_port": server.http_port, "tls_port": server.tls_port}
        with running_pebble(directory / "pebble", **{**ports, **more}) as pebble:
            yield AcmeScene(pebble, server, challenges, directory)


def names_in(pem: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Let the client connect to this host in memory; raise `SSLError` if it refuses."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=host)
    far = server.wrap_bio(up, down, server_side=True)
    for side in (near, far) * 2:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
