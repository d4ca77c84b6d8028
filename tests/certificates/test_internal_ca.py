"""The internal authority: certificates that real clients accept, and a root that is kept."""

import os
import shutil
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from blue_green.certificates import internal_root, pem, root_file
from blue_green.certificates.internal_ca import InternalCa
from blue_green.certificates.issuer import IssueFailed, Issuer
from blue_green.certificates.root_file import PREVIOUS, ROOT, ROOT_KEY
from tests.support.https_server import serving


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "certificates" / "internal"


def leaf(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def root(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / ROOT).read_bytes())


HOSTS = ["localhost", "127.0.0.1", "[::1]", "app.lan", "*.app.lan", "under_score.test"]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("host", HOSTS)
def test_curl_accepts_a_certificate_once_it_trusts_the_root(directory: Path, host: str) -> None:
    issued = InternalCa(directory).issue(host, 0)
    name = host.replace("*", "x")
    with serving(issued) as port:
        curl = ["curl", "--silent", "--show-error", "--max-time", "10", f"https://{name}:{port}/"]
        resolve = [] if host[0] in "1[" else ["--resolve", f"{name}:{port}:127.0.0.1"]
        trusting = [*curl, *resolve, "--cacert", str(directory / ROOT)]
        assert subprocess.run(trusting, check=True, capture_output=True).stdout == b"ok"
        assert subprocess.run([*curl, *resolve], check=False, capture_output=True).returncode == 60


@pytest.mark.parametrize("host", HOSTS)
def test_python_accepts_a_certificate_once_it_trusts_the_root(directory: Path, host: str) -> None:
    issued = InternalCa(directory).issue(host, 0)
    context = ssl.create_default_context(cafile=str(directory / ROOT))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with serving(issued) as port, socket.create_connection(("127.0.0.1", port)) as sock:
        name = host.strip("[]").replace("*", "x")
        with context.wrap_socket(sock, server_hostname=name) as tls:
            tls.sendall(b"hello")
            assert tls.recv(4096).startswith(b"HTTP/1.0 200")


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
def test_openssl_finds_no_fault_in_a_certificate(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "host.pem").write_text(InternalCa(directory).issue("app.lan", 0))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]
    command += [str(directory / ROOT), "-verify_hostname", "app.lan", str(tmp_path / "host.pem")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_certificate_is_for_one_host_and_valid_for_clients_with_a_slow_clock(
    directory: Path,
) -> None:
    issued = InternalCa(directory).issue("app.lan", 0)
    loaded, certificate = pem.load_text(issued, Path("host.pem")), leaf(issued)
    assert (list(loaded.names), loaded.is_quick) == (["app.lan"], True)
    before = datetime.now(UTC) - certificate.not_valid_before_utc
    assert timedelta(minutes=59) < before < timedelta(hours=2)
    assert certificate.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=90)


def test_a_long_host_is_only_in_the_alternative_name(directory: Path) -> None:
    host = f"{'a' * 60}.{'b' * 60}.lan"
    issued = InternalCa(directory).issue(host, 0)
    assert list(pem.load_text(issued, Path("host.pem")).names) == [host]


def test_the_root_names_the_machine_and_may_only_sign_hosts(directory: Path) -> None:
    InternalCa(directory).issue("app.lan", 0)
    made = root(directory)
    assert socket.gethostname()[:40] in made.subject.rfc4514_string()
    limits = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical and limits.value.ca and limits.value.path_length == 0


def test_only_we_can_read_the_key_of_the_root(directory: Path) -> None:
    InternalCa(directory).issue("app.lan", 0)
    assert (directory / ROOT_KEY).stat().st_mode & 0o777 == 0o600


def test_a_root_is_made_once_however_many_hosts_ask_for_it(directory: Path) -> None:
    authority: Issuer = InternalCa(directory)
    with ThreadPoolExecutor(8) as threads:
        issued = list(threads.map(lambda n: authority.issue(f"{n}.lan", 0), range(24)))
    again = InternalCa(directory).issue("again.lan", 0)
    made = root(directory)
    for text in [*issued, again]:
        leaf(text).verify_directly_issued_by(made)


def test_the_authority_has_no_say_in_when_a_certificate_is_renewed(directory: Path) -> None:
    authority = InternalCa(directory)
    assert authority.advice(authority.issue("app.lan", 0)) is None


# --- a root near its end --------------------------------------------------------------------


@pytest.fixture
def old(directory: Path, monkeypatch: pytest.MonkeyPatch) -> x509.Certificate:
    """A root that ends in 100 days."""
    monkeypatch.setattr(internal_root, "LIFE", timedelta(days=100))
    InternalCa(directory).issue("app.lan", 0)
    monkeypatch.undo()
    return root(directory)


def test_a_root_near_its_end_is_made_anew_and_both_are_good_meanwhile(
    directory: Path, old: x509.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    issued = leaf(InternalCa(directory).issue("app.lan", 0))
    new = root(directory)
    assert new.not_valid_after_utc > old.not_valid_after_utc + timedelta(days=3000)
    issued.verify_directly_issued_by(new)
    issued.verify_directly_issued_by(old)
    assert (new.subject, new.public_key()) == (old.subject, old.public_key())
    assert f"ends on {old.not_valid_after_utc.date()}: by then, install it" in caplog.text


def test_until_the_old_root_ends_people_are_reminded_to_install_the_new_one(
    directory: Path, old: x509.Certificate
) -> None:
    authority = InternalCa(directory)
    assert authority.notice == ""
    authority.issue("app.lan", 0)
    assert authority.notice == InternalCa(directory).notice
    assert f"by {old.not_valid_after_utc.date()}" in InternalCa(directory).notice


def test_no_certificate_outlives_the_root(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internal_root, "LIFE", timedelta(days=10))
    monkeypatch.setattr(internal_root, "RENEWED_BEFORE", timedelta(days=1))
    issued = leaf(InternalCa(directory).issue("app.lan", 0))
    assert issued.not_valid_after_utc == root(directory).not_valid_after_utc


def test_a_root_from_a_clock_that_was_wrong_is_made_anew(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal_root, "CLOCK_SKEW", timedelta(days=-5))
    InternalCa(directory).issue("app.lan", 0)
    monkeypatch.undo()
    InternalCa(directory).issue("app.lan", 0)
    assert root(directory).not_valid_before_utc < datetime.now(UTC)


# --- files that cannot be used --------------------------------------------------------------


def damage(directory: Path, name: str, content: bytes | None) -> None:
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)


def other_key() -> bytes:
    """A key of another kind."""
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (ROOT, b"", "root.pem is damaged: restore it"),
        (ROOT, b"-----BEGIN CERTIFICATE-----\nAAAA", "root.pem is damaged: restore it"),
        (ROOT_KEY, b"\0" * 100, "root.key is damaged: restore it"),
        (ROOT_KEY, other_key(), "root.key is damaged: restore it"),
        (ROOT_KEY, None, "root.key is missing: restore it"),
    ],
)
def test_damaged_files_are_reported_and_left_alone(
    directory: Path, name: str, content: bytes | None, why: str
) -> None:
    InternalCa(directory).issue("app.lan", 0)
    damage(directory, name, content)
    before = {path: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(IssueFailed, match=why):
        InternalCa(directory).issue("app.lan", 0)
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_the_key_of_another_root_is_reported(directory: Path, tmp_path: Path) -> None:
    InternalCa(directory).issue("app.lan", 0)
    InternalCa(tmp_path / "other").issue("app.lan", 0)
    damage(directory, ROOT_KEY, (tmp_path / "other" / ROOT_KEY).read_bytes())
    with pytest.raises(IssueFailed, match="is not the key of"):
        InternalCa(directory).issue("app.lan", 0)


def test_a_root_that_was_lost_is_made_anew_with_its_key(directory: Path) -> None:
    issued = leaf(InternalCa(directory).issue("app.lan", 0))
    (directory / ROOT).unlink()
    InternalCa(directory).issue("app.lan", 0)
    issued.verify_directly_issued_by(root(directory))


def test_a_directory_that_cannot_be_made_is_reported(directory: Path) -> None:
    directory.parent.parent.joinpath("certificates").write_text("")
    with pytest.raises(IssueFailed, match="cannot be read or written: Not a directory"):
        InternalCa(directory).issue("app.lan", 0)


def test_a_disk_that_is_full_leaves_no_half_root(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(IssueFailed, match="No space left on device"):
            InternalCa(directory).issue("app.lan", 0)
    assert not (directory / ROOT).exists()
    leaf(InternalCa(directory).issue("app.lan", 0)).verify_directly_issued_by(root(directory))


def test_a_damaged_previous_root_is_no_obstacle(directory: Path) -> None:
    authority = InternalCa(directory)
    authority.issue("app.lan", 0)
    (directory / PREVIOUS).write_text("?")
    assert authority.notice == ""


# --- the root as others see it --------------------------------------------------------------


def test_others_see_name_end_and_fingerprint_of_the_root(directory: Path) -> None:
    InternalCa(directory).issue("app.lan", 0)
    seen, made = root_file.read(directory / ROOT), root(directory)
    assert seen.pem.encode() == made.public_bytes(serialization.Encoding.PEM)
    assert seen.name.startswith("blue-green on ")
    assert seen.valid_until == made.not_valid_after_utc
    assert seen.fingerprint == made.fingerprint(SHA256()).hex()


def test_only_a_root_certificate_is_read_as_one(directory: Path) -> None:
    issued = InternalCa(directory).issue("app.lan", 0)
    certificate = leaf(issued).public_bytes(serialization.Encoding.PEM).decode()
    key = (directory / ROOT_KEY).read_text()
    for content in ("", "\0", "é", certificate, key, key + certificate, "-----BEGIN CERTI"):
        (directory / ROOT).write_text(content)
        with pytest.raises(root_file.BadRoot, match=r"root.pem (is no|cannot be read)"):
            root_file.read(directory / ROOT)
    (directory / ROOT).unlink()
    os.mkfifo(directory / ROOT)
    with pytest.raises(root_file.BadRoot, match="is not a regular file"):
        root_file.read(directory / ROOT)
