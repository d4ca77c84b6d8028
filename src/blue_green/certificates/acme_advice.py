"""When to renew a certificate, as its ACME authority advises (RFC 9773)."""

import random
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from acme import messages
from cryptography import x509

from blue_green.certificates import retry_after
from blue_green.certificates.acme_network import AcmeNetwork
from blue_green.certificates.issuer import RenewalAdvice

ASK_AGAIN = timedelta(hours=6)
SOONEST, LATEST = timedelta(minutes=1), timedelta(days=1)
"""The bounds of how long the authority may let us wait before we ask again (section 4.3.2)."""
LAST_TENTH = 10
"""A certificate is renewed before the last tenth of its life, whatever the authority advises."""


def identifier(certificate: x509.Certificate) -> str | None:
    """The name by which the authority knows a certificate (section 4.1), if it can have one."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    if (key := found.value.key_identifier) is None:
        return None
    serial = certificate.serial_number
    # Of an ASN.1 INTEGER, which has room for a sign.
    return f"{_base64(key)}.{_base64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def ask(network: AcmeNetwork, certificate: x509.Certificate) -> RenewalAdvice | None:
    """What the authority advises for this certificate; None if it gives no advice."""
    name = identifier(certificate)
    if name is None or "renewalInfo" not in network.directory.to_partial_json():
        return None
    response = network.get(f"{network.directory['renewalInfo']}/{name}")
    window = messages.RenewalInfo.from_json(response.json()).suggested_window
    now = datetime.now(UTC)
    wish = retry_after.moment(response.headers.get("Retry-After"), now) or now + ASK_AGAIN
    again = min(max(wish, now + SOONEST), now + LATEST)
    return RenewalAdvice(_moment_in(window.start, window.end, certificate), again)


def _moment_in(start: datetime, end: datetime, certificate: x509.Certificate) -> datetime:
    """A moment by chance, so that not all certificates of the world are renewed at once."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    latest = ends - (ends - begins) / LAST_TENTH
    return min(start + (end - start) * random.random(), latest)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
