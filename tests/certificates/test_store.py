"""The files of certificates: private, whole, and never trusted blindly."""

import logging
import os
import resource
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blue_green.certificates.kept_certificate import KeptCertificate, read
from blue_green.certificates.store import KEPT_FOR, CertificateStore, HostRecord
from tests.support.fake_issuer import DAY, make_pem

NOW = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)
HOSTS = ["a.example", "*.a.example", "[::1]", "127.0.0.1", "a_b.example", f"{'a' * 60}." * 4 + "de"]


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(tmp_path / "certificates" / "authority")


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """The directory of the files."""
    return tmp_path / "certificates" / "authority" / "hosts"


def issue(store: CertificateStore, host: str) -> KeptCertificate:
    issued = read(make_pem(host), host, Path("new"))
    store.save_certificate(host, issued.pem)
    return issued


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_saved_is_loaded_again(store: CertificateStore, host: str) -> None:
    issued = issue(store, host)
    record = HostRecord(issued.digest, 3, "no DNS", NOW, NOW, NOW + DAY, NOW + 2 * DAY)
    store.save_record(host, record)
    loaded, again = store.load(host)
    assert loaded is not None
    assert loaded.pem == issued.pem
    assert again == record


def test_hosts_do_not_share_files(store: CertificateStore, hosts: Path) -> None:
    for host in HOSTS:
        issue(store, host)
    assert len(list(hosts.iterdir())) == len(HOSTS)
    assert not any(set("*[]:") & set(path.name) for path in hosts.iterdir())


def test_only_we_can_read_the_files(store: CertificateStore, hosts: Path) -> None:
    issue(store, "a.example")
    store.save_record("a.example", HostRecord())
    for path in (hosts.parent.parent, hosts.parent, hosts, *hosts.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_directory_that_others_could_read_is_closed_to_them(hosts: Path) -> None:
    hosts.mkdir(mode=0o755, parents=True)
    CertificateStore(hosts.parent)
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o700


def test_a_new_host_has_nothing(store: CertificateStore, caplog: pytest.LogCaptureFixture) -> None:
    assert store.load("new.example") == (None, HostRecord())
    assert caplog.text == ""


@pytest.mark.parametrize("damage", [b"", b"\xff" * 1000, b"-----BEGIN CERTIFICATE-----", None])
def test_a_damaged_certificate_counts_as_missing_and_is_logged(
    store: CertificateStore, hosts: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    issue(store, "a.example")
    path = hosts / "a.example.pem"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert store.load("a.example")[0] is None
    [line] = caplog.messages
    assert line.startswith("the stored certificate for a.example cannot be used, ordering one:")
    assert str(path) in line


def test_a_certificate_of_another_host_counts_as_missing(
    store: CertificateStore, hosts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issue(store, "a.example")
    (hosts / "a.example.pem").rename(hosts / "b.example.pem")
    assert store.load("b.example")[0] is None
    assert "is not for b.example, but for a.example" in caplog.text


@pytest.mark.parametrize("kind", ["fifo", "directory", "large", "link"])
def test_a_file_of_another_kind_counts_as_missing(
    store: CertificateStore, hosts: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (hosts / "a.example.pem", hosts / "a.example.json"):
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(b" " * 1024 * 1024)
    assert store.load("a.example") == (None, HostRecord())
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"failures": "3"}',
        '{"failures": 3, "more": 1}',
        '{"next_attempt": "2026-01-01T00:00:00"}',
        '{"next_attempt": 3}',
        "[" * 100_000,
    ],
)
def test_a_damaged_record_is_logged_and_the_certificate_is_used(
    store: CertificateStore, hosts: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    issued = issue(store, "a.example")
    (hosts / "a.example.json").write_text(text)
    loaded, record = store.load("a.example")
    assert loaded is not None
    assert record == HostRecord(issued.digest)
    assert "a.example.json cannot be used" in caplog.text


def test_a_record_of_an_earlier_certificate_is_not_used(store: CertificateStore) -> None:
    """As after a crash between the two files."""
    old = issue(store, "a.example")
    store.save_record("a.example", HostRecord(old.digest, failures=3, advised=NOW))
    new = issue(store, "a.example")
    assert store.load("a.example")[1] == HostRecord(new.digest)


@contextmanager
def full_disk() -> Iterator[None]:
    """Here no file may grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_the_old_files(store: CertificateStore, hosts: Path) -> None:
    issued = issue(store, "a.example")
    record = HostRecord(issued.digest, 1)
    store.save_record("a.example", record)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        store.save_certificate("a.example", make_pem("a.example"))
    with full_disk(), pytest.raises(OSError, match="File too large"):
        store.save_record("a.example", HostRecord(issued.digest, 2))
    loaded, again = store.load("a.example")
    assert loaded is not None
    assert (loaded.pem, again) == (issued.pem, record)


def test_leftovers_of_interrupted_writes_are_removed(store: CertificateStore, hosts: Path) -> None:
    issue(store, "a.example")
    (hosts / "a.example.pem.new").write_text("half")
    CertificateStore(hosts.parent)
    assert [path.name for path in hosts.iterdir()] == ["a.example.pem"]


def test_files_of_a_removed_host_are_kept_for_a_while(
    store: CertificateStore, hosts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for host in ("current.example", "old.example", "recent.example"):
        issue(store, host)
    long_ago = time.time() - KEPT_FOR - 60
    for host in ("current.example", "old.example"):
        os.utime(hosts / f"{host}.pem", (long_ago, long_ago))
    store.remove_old({"current.example"})
    left = sorted(path.name for path in hosts.iterdir())
    assert left == ["current.example.pem", "recent.example.pem"]
    assert "old.example.pem: no site has this host any more" in caplog.text


def test_an_expired_certificate_is_loaded_which_is_logged(
    store: CertificateStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_certificate("a.example", make_pem("a.example", DAY, age=2 * DAY))
    assert store.load("a.example")[0] is not None
    [line] = caplog.messages
    assert line.startswith("the stored certificate for a.example expired 20")


def test_a_directory_that_was_removed_is_made_again(store: CertificateStore, hosts: Path) -> None:
    shutil.rmtree(hosts.parent.parent)
    issue(store, "a.example")
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o700


def test_a_directory_of_another_user_is_an_error(
    hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise all certificates would be ordered again at each start."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != hosts.parent)
    with pytest.raises(PermissionError) as denied:
        CertificateStore(hosts.parent)
    assert denied.value.filename == str(hosts.parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who could use it")
def test_root_uses_no_directory_in_which_another_user_could_replace_keys(
    store: CertificateStore, hosts: Path, tmp_path: Path
) -> None:
    os.chown(hosts, 65534, 65534)
    with pytest.raises(PermissionError, match=f"another user owns it.*chown -R 0 {hosts}"):
        CertificateStore(hosts.parent)
    with pytest.raises(PermissionError):
        store.save_record("a.example.com", HostRecord())
    assert hosts.stat().st_uid == 65534


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("")
    with pytest.raises(OSError, match="certificates"):
        CertificateStore(tmp_path / "certificates" / "authority")
