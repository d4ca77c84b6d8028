"""The root of the internal authority: its key and its certificate, below the state directory.

The key is made once. The certificate is made again with the same key and the same name before it
ends: what the key has signed is then valid for those that trust either one.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from blue_green.certificates import issued
from blue_green.certificates.root_file import PREVIOUS, ROOT, ROOT_KEY
from blue_green.system import files

T = TypeVar("T")

logger = logging.getLogger(__name__)

LIFE = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=365)
"""So long before its end, a new certificate is made, which people have to install."""
CLOCK_SKEW = timedelta(days=1)
"""It is valid for clients whose clock is slow by so much."""
LARGEST = 64 * 1024
"""Bytes of each file."""
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280 appendix A.1)."""


class RootUnusable(Exception):
    """The authority cannot sign; str() says why and what to do."""


@frozen
class Root:
    """A key, and a certificate that makes it an authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def load_or_make(directory: Path) -> Root:
    """The root in this directory, a new one if there is none; raise `RootUnusable`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate = _read(directory / ROOT, x509.load_pem_x509_certificate)
        key = _read(directory / ROOT_KEY, _load_key)
        if certificate is not None and (key is None or not _fits(key, certificate)):
            what = "is missing" if key is None else f"is not the key of {directory / ROOT}"
            raise RootUnusable(f"{directory / ROOT_KEY} {what}: {_what_to_do(directory)}")
        if key is None:
            key = ec.generate_private_key(ec.SECP256R1())
            files.replace(directory / ROOT_KEY, issued.pem_of_key(key).encode())
        if certificate is None or not _lasts(certificate):
            certificate = _make(directory, key, certificate)
    except OSError as error:
        where = error.filename or directory
        why = f"{where} cannot be read or written: {error.strerror}"
        raise RootUnusable(f"the internal authority cannot sign certificates: {why}") from None
    return Root(key, certificate)


def previous_until(directory: Path) -> datetime | None:
    """When the certificate before the current one ends; None if it has ended, or is none."""
    with suppress(OSError, RootUnusable):
        previous = _read(directory / PREVIOUS, x509.load_pem_x509_certificate)
        if previous is not None and previous.not_valid_after_utc > datetime.now(UTC):
            return previous.not_valid_after_utc
    return None


def _read(path: Path, load: Callable[[bytes], T]) -> T | None:
    """The content of a file; None if there is none. Raises `OSError` or `RootUnusable`."""
    try:
        return load(files.read_bounded(path, LARGEST))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RootUnusable(f"{path} is damaged: {_what_to_do(path.parent)}") from None


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("it is another kind of key")
    return key


def _fits(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bool:
    return key.public_key() == certificate.public_key()


def _lasts(certificate: x509.Certificate) -> bool:
    """Whether it is valid now and for a while. It may not be valid yet if a clock was wrong."""
    now = datetime.now(UTC)
    end = certificate.not_valid_after_utc - RENEWED_BEFORE
    return certificate.not_valid_before_utc <= now < end


def _make(
    directory: Path, key: ec.EllipticCurvePrivateKey, previous: x509.Certificate | None
) -> x509.Certificate:
    """Make and write a certificate for the key, with the name of the previous one."""
    name = _name() if previous is None else previous.subject
    now = datetime.now(UTC)
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )
    if previous is not None:
        files.replace(directory / PREVIOUS, issued.pem_of_certificate(previous).encode())
    files.replace(directory / ROOT, issued.pem_of_certificate(certificate).encode())
    if previous is None:
        logger.info(
            "made the root certificate of the internal authority, %s: `blue-green trust` says how "
            "to install it in browsers",
            directory / ROOT,
        )
    else:
        logger.warning(
            "made a new root certificate of the internal authority, since the one in use ends on "
            "%s: by then, install it with `blue-green trust` wherever that one is installed",
            previous.not_valid_after_utc.date(),
        )
    return certificate


def key_usage(*, is_authority: bool) -> x509.KeyUsage:
    """The key signs certificates, or handshakes (RFC 5280 section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name() -> x509.Name:
    common = f"blue-green on {socket.gethostname()}"[:LONGEST_NAME]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "blue-green internal authority"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _what_to_do(directory: Path) -> str:
    return (
        f"restore it from a backup; or remove {directory} and restart the supervisor, for a new "
        "root certificate that must be installed with `blue-green trust` everywhere"
    )
