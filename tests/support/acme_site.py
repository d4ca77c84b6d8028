"""Sites whose certificates come from a real ACME server, and visits to them."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import frozen
from cryptography import x509

from tests.support.pebble import Pebble, running_pebble
from tests.support.several_sites import SeveralSites
from tests.support.site import free_ports
from tests.waiting import PATIENCE, until

MAIL = "you@example.com"


def acme_settings(pebble: Pebble, *, redirects: bool = True, **more: Any) -> dict[str, Any]:
    """`[proxy]` on the ports to which the authority connects."""
    tls = {
        "acme": MAIL,
        "directory": pebble.url,
        "directory_root": str(pebble.server_root),
        "redirect": [f"127.0.0.1:{pebble.http_port}"] if redirects else [],
    }
    return {"listen": [f"127.0.0.1:{pebble.tls_port}"], "tls": tls | more}


@contextmanager
def authority(directory: Path, **settings: Any) -> Iterator[Pebble]:
    """A running pebble, for sites that are not there yet."""
    http_port, tls_port = free_ports(2)
    path = directory / "pebble"
    with running_pebble(path, http_port=http_port, tls_port=tls_port, **settings) as pebble:
        yield pebble


@frozen
class Visit:
    """What a visitor saw."""

    status: int
    certificate: x509.Certificate

    @property
    def serial(self) -> int:
        return self.certificate.serial_number


async def visit(port: int, host: str, context: ssl.SSLContext) -> Visit:
    """Ask once with TLS, on a connection of its own. Errors are those of trio's streams."""
    with trio.fail_after(PATIENCE):
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        async with trio.SSLStream(
            tcp, context, server_hostname=host, https_compatible=True
        ) as stream:
            request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode())
            answer = b""
            while data := await stream.receive_some():
                answer += data
            der = stream.getpeercert(binary_form=True)
    return Visit(int(answer[9:12]), x509.load_der_x509_certificate(der))


async def until_visited(port: int, host: str, context: ssl.SSLContext) -> Visit:
    """Visit until the certificate is there and trusted."""

    async def look() -> Visit | None:
        try:
            return await visit(port, host, context)
        except (OSError, trio.BrokenResourceError):
            return None

    seen: Visit = await until(f"{host} is served with TLS", look)
    return seen


async def until_stored(state: Path, *hosts: str) -> None:
    """Wait until the certificates of these hosts are on disk, with their records."""
    for name in [f"{host}.{suffix}" for host in hosts for suffix in ("pem", "json")]:
        pattern = f"certificates/*/hosts/{name}"
        await until(f"{name} is written", lambda pattern=pattern: list(state.glob(pattern)))


async def certificate_of(sites: SeveralSites, name: str) -> Mapping[str, Any]:
    """What the status of a site says about the certificate of its only host."""
    [certificate] = (await sites.status_of(name))["certificates"]
    known: Mapping[str, Any] = certificate
    return known


async def until_failed(sites: SeveralSites, name: str) -> str:
    """Wait until no certificate could be obtained for the only host of a site; why."""

    async def look() -> str | None:
        certificate = await certificate_of(sites, name)
        return certificate["problem"] if certificate["failures"] else None

    why: str = await until(f"{name} has a problem", look)
    return why
