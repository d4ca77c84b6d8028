"""The internal authority: it signs certificates for hosts that no public authority vouches for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blue_green.certificates import internal_root, issued
from blue_green.certificates.internal_root import LONGEST_NAME, Root, RootUnusable
from blue_green.certificates.issuer import IssueFailed, RenewalAdvice

LIFE = timedelta(days=90)
CLOCK_SKEW = timedelta(hours=1)
"""A certificate is valid for clients whose clock is slow by so much."""


class InternalCa:
    """The authority whose root is in this directory; an `Issuer`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        """Held while the root is read, and perhaps made."""
        self._previous_until = internal_root.previous_until(directory)

    def issue(self, host: str, attempt: int) -> str:
        """See `Issuer`. Needs no network, and takes some milliseconds."""
        try:
            with self._lock:
                root = internal_root.load_or_make(self._directory)
                self._previous_until = internal_root.previous_until(self._directory)
        except RootUnusable as error:
            raise IssueFailed(str(error)) from None
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(root, host, key.public_key())
        return issued.pem_of_key(key) + issued.pem_of_certificate(certificate)

    def advice(self, pem: str) -> RenewalAdvice | None:
        """None: a certificate is renewed by its age."""

    @property
    def notice(self) -> str:
        """See `Issuer`: the root certificate has to be installed again if it is a new one."""
        until = self._previous_until
        if until is None or until <= datetime.now(UTC):
            return ""
        return (
            f"there is a new root certificate: by {until.date()}, when the previous one ends, "
            "install it with `blue-green trust` wherever that one is installed"
        )


def _sign(root: Root, host: str, public: ec.EllipticCurvePublicKey) -> x509.Certificate:
    now = datetime.now(UTC)
    name = issued.subject_name(issued.subject(host))
    issuer = root.certificate
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= LONGEST_NAME else []
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(now + LIFE, issuer.not_valid_after_utc))
        # Without a subject, the alternative name must be critical (RFC 5280 section 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName([name]), critical=not subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(internal_root.key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
        .sign(root.key, SHA256())
    )
