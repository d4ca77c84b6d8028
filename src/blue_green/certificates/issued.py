"""A new key, a request to sign it, and what an authority made of that."""

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from blue_green.certificates import pem

LONGEST_CHAIN = 10

Subject = str | IPv4Address | IPv6Address
"""What a certificate is for."""


class Unusable(Exception):
    """The authority issued something that must not replace a certificate; str() says why."""


def subject(host: str) -> Subject:
    """A host as the settings have it, with an IPv6 address in brackets."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return host


def subject_name(host: Subject) -> x509.GeneralName:
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def subjects_of(certificate: x509.Certificate) -> Sequence[str]:
    """The hosts that it is for, without brackets."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def request_for(host: Subject, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """A request to sign this key for this host (PKCS #10)."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([subject_name(host)]), critical=False)
        .sign(key, SHA256())
    )


def key_and_chain(text: str, host: Subject, key: ec.EllipticCurvePrivateKey) -> str:
    """Our key and the chain in this text, in PEM; raise `Unusable`.

    The text is from the authority: only certificates of it are kept.
    """
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        if len(chain) > LONGEST_CHAIN:
            raise Unusable(f"a chain of {len(chain)} certificates")
        _check(chain[0], host, key)
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001 - A certificate can be wrong in every way.
        raise Unusable(f"no chain of certificates ({type(error).__name__}: {error})") from None
    ours = pem_of_key(key) + "".join(map(pem_of_certificate, chain))
    try:
        loaded = pem.load_text(ours, Path(str(host)))
    except pem.BadCertificate as error:
        raise Unusable(str(error)) from None
    if not loaded.names:
        raise Unusable("a certificate that clients refuse")
    return ours


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pem_of_certificate(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _check(
    certificate: x509.Certificate,
    host: Subject,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    if certificate.public_key() != key.public_key():
        raise Unusable("a certificate for another key")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if subject_name(host) not in names:
        raise Unusable("a certificate for another host")
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise Unusable(
            f"a certificate that is valid from {begins:%F %T} to {ends:%F %T} UTC, "
            "which is not now: check this machine's clock"
        )
