"""Certificates and keys: which are refused."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from blue_green.certificates.pem import BadCertificate, is_quick, load
from tests.raw.tls_client import PemPair, write_pair


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


def encrypted(key: Path, form: str) -> bytes:
    """The same key with a passphrase."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    kind = getattr(serialization.PrivateFormat, form)
    return loaded.private_bytes(serialization.Encoding.PEM, kind, lock)


def test_a_certificate_that_clients_will_refuse_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A site with an expired certificate is better than none."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tls = write_pair(tmp_path, not_before=yesterday - timedelta(days=9), not_after=yesterday)
    load(tls.certificate, tls.key)
    assert f"clients will refuse {tls.certificate}: certificate has expired" in caplog.text


def test_certificate_and_key_may_be_one_file(tls: PemPair) -> None:
    both = tls.certificate.with_name("both.pem")
    both.write_bytes(tls.key.read_bytes() + tls.certificate.read_bytes())
    load(both, both)


BROKEN = {
    "no certificate": ("certificate", None, "No such file or directory"),
    "an empty certificate": ("certificate", b"", "has no certificate in PEM"),
    "half a certificate": ("certificate", 0.5, "cannot be used"),
    "a key in its place": ("certificate", "key", "has no certificate in PEM"),
    "no key": ("key", None, "No such file or directory"),
    "half a key": ("key", 0.5, "cannot be used"),
    "a certificate in its place": ("key", "certificate", "has no private key in PEM"),
    "a binary file": ("key", b"\xff\x00" * 1000, "has no private key in PEM"),
    "an enormous file": ("key", b"x" * 2_000_000, "is not a file with a key"),
    "letters that are no Base64": (
        "certificate",
        b"-----BEGIN CERTIFICATE-----\n\xff?\n-----END CERTIFICATE-----\n",
        "cannot be used",
    ),
}


@pytest.mark.parametrize(("name", "content", "why"), BROKEN.values(), ids=BROKEN)
def test_each_problem_is_reported_with_its_file(
    tls: PemPair, name: str, content: bytes | str | float | None, why: str
) -> None:
    path: Path = getattr(tls, name)
    if content is None:
        path.unlink()
    elif isinstance(content, float):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * content)])
    elif isinstance(content, str):
        path.write_bytes(getattr(tls, content).read_bytes())
    else:
        path.write_bytes(content)
    with pytest.raises(BadCertificate, match=why) as caught:
        load(tls.certificate, tls.key)
    assert str(path) in str(caught.value)


def test_a_directory_and_a_pipe_are_refused_without_waiting(tls: PemPair) -> None:
    tls.key.unlink()
    os.mkfifo(tls.key)
    for key in (tls.key, tls.key.parent):
        with pytest.raises(BadCertificate, match="is not a file"):
            load(tls.certificate, key)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_with_a_passphrase_is_refused_without_a_prompt(tls: PemPair, form: str) -> None:
    tls.key.write_bytes(encrypted(tls.key, form))
    with pytest.raises(BadCertificate, match="has a passphrase, and nobody can type it at start"):
        load(tls.certificate, tls.key)


def test_the_key_of_another_certificate_is_refused(tls: PemPair, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_pair(tmp_path / "other")
    with pytest.raises(BadCertificate, match=r"key\.pem is not the key of .*certificate\.pem"):
        load(tls.certificate, other.key)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose app runs as somebody else")
def test_root_is_warned_about_a_world_readable_key(
    tls: PemPair, caplog: pytest.LogCaptureFixture
) -> None:
    load(tls.certificate, tls.key)
    assert "everybody" not in caplog.text
    tls.key.chmod(0o644)
    load(tls.certificate, tls.key)
    assert f"all users can read the private key: chmod o-r {tls.key}" in caplog.text


QUICK = {
    "P-256": (ec.generate_private_key(ec.SECP256R1()), True),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), True),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), False),
    "P-521": (ec.generate_private_key(ec.SECP521R1()), False),
    "Ed448": (ed448.Ed448PrivateKey.generate(), False),
    "RSA": (rsa.generate_private_key(65537, 2048), False),
}


@pytest.mark.parametrize(("key", "quick"), QUICK.values(), ids=QUICK)
def test_p256_and_ed25519_are_the_keys_with_which_signatures_are_quick(
    key: Any, quick: bool
) -> None:
    """Whatever the authority signs with: here it is P-256."""
    ours = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(ours, SHA256())
    )
    root = certificate.public_bytes(serialization.Encoding.PEM).decode()
    assert is_quick(root) is quick
