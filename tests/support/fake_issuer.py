"""An authority that needs no network, and does what a test wants."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from attrs import Factory, define
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from blue_green.certificates.issuer import RenewalAdvice

DAY = timedelta(days=1)


def make_pem(host: str, life: timedelta = 90 * DAY, *, age: timedelta = timedelta(0)) -> str:
    """A key and a certificate for this host, which was made so long ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    begin = datetime.now(UTC) - age
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
        .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (pem + certificate.public_bytes(Encoding.PEM)).decode()


def _name(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ip_address(host.strip("[]")))
    return x509.DNSName(host)


@define
class FakeIssuer:
    """Issues certificates at once, unless `answer` does something else for the host."""

    life: timedelta = 90 * DAY
    notice: str = ""
    answer: Callable[[str], str | None] = lambda host: None
    """A PEM for this host, or None for a new one; may raise `IssueFailed`, or wait."""
    advised: Callable[[], RenewalAdvice | None] = lambda: None
    orders: list[tuple[str, int]] = Factory(list)
    """The host and the number of each attempt."""
    asked: int = 0
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = Factory(threading.Lock)

    def issue(self, host: str, attempt: int) -> str:
        with self._lock:
            self.orders.append((host, attempt))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            return self.answer(host) or make_pem(host, self.life)
        finally:
            with self._lock:
                self._now -= 1

    def advice(self, pem: str) -> RenewalAdvice | None:
        self.asked += 1
        return self.advised()
