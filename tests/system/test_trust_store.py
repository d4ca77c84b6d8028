"""Trust stores: where a certificate is installed, and what happens if that fails."""

from pathlib import Path

import pytest

from blue_green.system import root, trust_store
from blue_green.system.trust_store import CannotInstall, TrustStore

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrustStore:
    """The only known store, whose program counts how often it has run."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "anchors").mkdir()
    made = TrustStore("Test", tmp_path / "anchors", ".crt", ("update",), ("update", "--fresh"))
    monkeypatch.setattr(trust_store, "STORES", (made,))
    monkeypatch.setattr(root, "path", lambda: f"{tmp_path / 'bin'}:/usr/bin:/bin")
    write_program(made, f"echo run >> {tmp_path}/runs")
    return made


def write_program(store: TrustStore, script: str) -> None:
    program = store.directory.parent / "bin" / "update"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def runs(store: TrustStore) -> int:
    return (store.directory.parent / "runs").read_text().count("run")


def test_a_certificate_is_installed_once_for_all_users(store: TrustStore) -> None:
    assert trust_store.of_this_machine() is store
    assert trust_store.install(store, "ours", PEM)
    assert not trust_store.install(store, "ours", PEM)
    assert runs(store) == 2  # If it failed the first time, the second one repairs that.
    file = store.directory / "ours.crt"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (PEM, 0o644)
    assert list(store.directory.iterdir()) == [file]


def test_another_certificate_of_that_name_is_replaced(store: TrustStore) -> None:
    (store.directory / "ours.crt").write_bytes(b"\xff")
    assert trust_store.install(store, "ours", PEM)
    assert (store.directory / "ours.crt").read_text() == PEM


def test_a_system_without_a_known_store_is_reported(store: TrustStore) -> None:
    (store.directory.parent / "bin" / "update").unlink()
    with pytest.raises(CannotInstall, match=r"none of the places that are known: .*/anchors"):
        trust_store.of_this_machine()


def test_a_program_that_fails_is_reported_with_its_output(store: TrustStore) -> None:
    write_program(store, "echo no space left; exit 3")
    with pytest.raises(CannotInstall, match=r"failed with exit status 3:\nno space left"):
        trust_store.install(store, "ours", PEM)


def test_a_program_that_hangs_is_ended(store: TrustStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(store, "exec sleep 60")
    monkeypatch.setattr(trust_store, "TIMEOUT", 0.2)
    with pytest.raises(CannotInstall, match=r"has not ended within 0.2 s"):
        trust_store.install(store, "ours", PEM)


def test_a_directory_that_cannot_be_written_is_reported(store: TrustStore) -> None:
    store.directory.rmdir()
    with pytest.raises(CannotInstall, match=r"ours.crt cannot be written: No such file"):
        trust_store.install(store, "ours", PEM)


def test_the_commands_to_install_and_to_remove_name_the_file(store: TrustStore) -> None:
    file = store.directory / "ours.crt"
    assert store.how_to_install("root.pem", "ours") == f"sudo cp root.pem {file} && sudo update"
    assert store.how_to_remove("ours") == f"sudo rm {file} && sudo update --fresh"
