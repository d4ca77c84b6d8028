"""The certificates that the programs of this machine trust, as its distribution keeps them.

A root certificate is a file in a directory, from which a program makes the bundles that others read
(update-ca-certificates(8), update-ca-trust(8)).
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from blue_green.system import files, root

TIMEOUT = 120.0
"""Seconds for the program."""
MOST_OUTPUT = 2000
"""Characters of its output to report."""


class CannotInstall(Exception):
    """The certificate is not, or may not be, installed; str() says why and what to do."""


@frozen
class TrustStore:
    """Where a family of distributions keeps certificates of its administrator."""

    systems: str
    directory: Path
    suffix: str
    """Of the names of files: others are ignored."""
    update: Sequence[str]
    """The program to run when a file was added."""
    update_removed: Sequence[str]
    """The program to run when one was removed."""

    def file(self, name: str) -> Path:
        return self.directory / f"{name}{self.suffix}"

    def how_to_install(self, certificate: str, name: str) -> str:
        """The command for a shell."""
        return f"sudo cp {certificate} {self.file(name)} && sudo {' '.join(self.update)}"

    def how_to_remove(self, name: str) -> str:
        """The command for a shell."""
        return f"sudo rm {self.file(name)} && sudo {' '.join(self.update_removed)}"


UPDATE_CERTIFICATES, UPDATE_TRUST = "update-ca-certificates", "update-ca-trust"
STORES = (
    TrustStore(
        "Fedora, RHEL",
        Path("/etc/pki/ca-trust/source/anchors"),
        ".pem",
        (UPDATE_TRUST,),
        (UPDATE_TRUST,),
    ),
    TrustStore(
        "Arch Linux",
        Path("/etc/ca-certificates/trust-source/anchors"),
        ".crt",
        (UPDATE_TRUST,),
        (UPDATE_TRUST,),
    ),
    TrustStore(
        "openSUSE, SLES",
        Path("/etc/pki/trust/anchors"),
        ".pem",
        (UPDATE_CERTIFICATES,),
        (UPDATE_CERTIFICATES,),
    ),
    TrustStore(
        "Debian, Ubuntu, Alpine",
        Path("/usr/local/share/ca-certificates"),
        ".crt",
        (UPDATE_CERTIFICATES,),
        (UPDATE_CERTIFICATES, "--fresh"),
    ),
)


def of_this_machine() -> TrustStore:
    """The store of this machine; raise `CannotInstall` if it has none that we know."""
    for store in STORES:
        if store.directory.is_dir() and _program(store):
            return store
    known = ", ".join(f"{store.directory} ({store.systems})" for store in STORES)
    raise CannotInstall(
        "this system keeps its trusted certificates in none of the places that are known: "
        f"{known}; if one of these is yours, install the package ca-certificates"
    )


def install(store: TrustStore, name: str, pem: str) -> bool:
    """Trust this certificate; whether its file is new. Raises `CannotInstall`."""
    path = store.file(name)
    try:
        is_new = not path.is_file() or path.read_text("ascii", "replace") != pem
        if is_new:
            files.replace(path, pem.encode())
        path.chmod(0o644)  # All users read it.
    except OSError as error:
        raise CannotInstall(f"{path} cannot be written: {error.strerror}") from None
    _run(store)  # Also if the file is not new: perhaps this failed the last time.
    return is_new


def _program(store: TrustStore) -> str | None:
    return shutil.which(store.update[0], path=root.path())


def _run(store: TrustStore) -> None:
    program = _program(store)
    assert program is not None
    what = f"{program}, which adds the files in {store.directory}"
    try:
        done = subprocess.run(
            [program, *store.update[1:]],
            env={"PATH": root.path(), "LANG": os.environ.get("LANG", "C")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{what}, has not ended within {TIMEOUT:g} s") from None
    except OSError as error:
        raise CannotInstall(f"{what}, cannot be run: {error.strerror}") from None
    if done.returncode:
        output = done.stdout.strip()[-MOST_OUTPUT:]
        raise CannotInstall(f"{what}, failed with exit status {done.returncode}:\n{output}")
