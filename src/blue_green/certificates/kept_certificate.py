"""A certificate with its key as an authority issues it: checked, and made ready for handshakes.

This takes a fraction of a millisecond: at start there may be hundreds. The certificates of users,
who may have made them in any way, are tried more thoroughly (`pem.load`).
"""

from datetime import datetime
from hashlib import sha256
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from blue_green.certificates import issued
from blue_green.certificates.pem import BEGIN, BadCertificate, Contexts, Loaded, is_quick

DIGITS = 16
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)


@frozen
class KeptCertificate:
    """A certificate that we have from an authority."""

    pem: str
    """The key, then the chain."""
    loaded: Loaded
    valid_from: datetime
    valid_until: datetime
    digest: str
    """Of the chain, in hexadecimal digits."""

    @property
    def spread(self) -> float:
        """A number from 0 to 1, another one for each certificate."""
        return int(self.digest, 16) / float(16**DIGITS)


def read(pem: str, host: str, about: Path) -> KeptCertificate:
    """Read a certificate for this host; raise `BadCertificate`, which names `about`.

    It may have expired.
    """
    start = pem.find(BEGIN)
    chain = pem[max(start, 0) :]
    try:
        certificate = x509.load_pem_x509_certificate(chain.encode())
        names = issued.subjects_of(certificate)
    except UNREADABLE as error:
        raise BadCertificate(f"{about} has no certificate that can be read: {error}") from None
    if str(issued.subject(host)) not in names:
        raise BadCertificate(f"{about} is not for {host}, but for {', '.join(names) or 'no host'}")
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    loaded = Loaded(
        Contexts(chain, pem[:start], about, about), names, until, is_quick(chain), since
    )
    return KeptCertificate(pem, loaded, since, until, sha256(chain.encode()).hexdigest()[:DIGITS])
