"""`trust`: the root certificate of the internal authority, and how programs come to trust it."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blue_green.cli.command import FAILED, OK, USAGE, Command, complain, file_argument, say
from blue_green.config.error import ConfigError
from blue_green.config.process_settings import INTERNAL
from blue_green.config.state_directory import state_directory
from blue_green.system import locate, running_supervisors, trust_store
from blue_green.system.printable import printable
from blue_green.system.running_supervisors import DEFAULT_FILE
from blue_green.system.trust_store import STORES, CannotInstall

if TYPE_CHECKING:
    from blue_green.certificates.root_file import RootCertificate

AS_WHOM = "run this as root, or as the user of the supervisor"
NOT_NAMED = (
    "{path} was found through a running process, and users other than root can write {unsafe}: if "
    "it is the right one, name it: STATE_DIRECTORY={state} blue-green trust FILE --install"
)


def _trust(arguments: argparse.Namespace) -> int:
    from blue_green.certificates import root_file  # noqa: PLC0415 - slow to load

    file = _settings_file(arguments.file)
    directory = root_file.directory_in(_state_directory(file))
    try:
        root = root_file.read(directory / root_file.ROOT)
    except FileNotFoundError:
        return complain(_why_there_is_none(file, directory), FAILED)
    except PermissionError as error:
        return complain(f"{error.filename} cannot be read: {error.strerror}: {AS_WHOM}", FAILED)
    except root_file.BadRoot as error:
        return complain(str(error), FAILED)
    if arguments.install:
        is_named = file in (arguments.file, Path(DEFAULT_FILE))
        is_named = is_named and directory == root_file.directory_in(_named_directory(file))
        return _install(root, directory / root_file.ROOT, is_named=is_named)
    print(root.pem, end="", flush=True)
    lines = _instructions(root, directory / root_file.ROOT_KEY, file)
    print("\n".join(map(printable, lines)), file=sys.stderr)
    return OK


def _settings_file(named: Path | None) -> Path:
    """The settings file: the one that was named, else the one here, else that of the supervisor."""
    if named is not None or Path(DEFAULT_FILE).exists():
        return named or Path(DEFAULT_FILE)
    files = sorted({one.file for one in running_supervisors.supervisors()})
    if len(files) > 1:
        raise ConfigError([f"several supervisors run here, name one: {', '.join(map(str, files))}"])
    return files[0] if files else Path(DEFAULT_FILE)


def _state_directory(file: Path) -> Path:
    """That of the supervisor that runs with this file, whose service may have set it."""
    environment = running_supervisors.environment_of(file) or os.environ
    return state_directory(locate.read(file), file.absolute().parent, environment)


def _named_directory(file: Path) -> Path:
    """The state directory by the settings and our own environment alone."""
    return state_directory(locate.read(file), file.absolute().parent)


def _why_there_is_none(file: Path, directory: Path) -> str:
    proxy = locate.read(file).get("proxy")
    tls = proxy.get("tls") if isinstance(proxy, dict) else None
    if not isinstance(tls, dict) or tls.get("acme") != INTERNAL:
        return (
            f'{file} has no acme = "{INTERNAL}" in [proxy.tls], so there is no internal authority '
            "whose certificate could be trusted"
        )
    return (
        f"there is no root certificate in {directory} yet: it is made when the supervisor starts "
        f"with these settings, by `blue-green run {shlex.quote(str(file))}` or as a service. If "
        "it keeps its state elsewhere, set STATE_DIRECTORY as its service does"
    )


def _install(root: "RootCertificate", path: Path, *, is_named: bool) -> int:
    """`is_named`: this path is what root has named, and not what a running process has led to."""
    from blue_green.system import users  # noqa: PLC0415 - slow to load

    if os.geteuid() != 0:
        return complain("only root can install a certificate for all users: use sudo", USAGE)
    # Every user can run something that looks like a supervisor, with an authority of their own.
    if not is_named and (unsafe := users.writable_by_others(path)):
        return complain(NOT_NAMED.format(path=path, unsafe=unsafe, state=path.parents[2]), USAGE)
    name = _file_name(root)
    try:
        store = trust_store.of_this_machine()
        is_new = trust_store.install(store, name, root.pem)
    except CannotInstall as error:
        return complain(str(error), FAILED)
    path, program = store.file(name), " ".join(store.update)
    done = f"wrote {path}, and ran" if is_new else f"{path} was there already; ran"
    say(f"{done} {program}: this machine trusts {root.name}")
    say(f"to remove it: {store.how_to_remove(name)}")
    say("\n".join(_own_stores(str(path), root.name)))
    return OK


def _instructions(root: "RootCertificate", key: Path, file: Path) -> Iterator[str]:
    """How to install the certificate, for people."""
    print_it = f"blue-green trust {shlex.quote(str(file))}"
    yield ""
    yield f"This is the root certificate of {root.name}, valid until {root.valid_until.date()}."
    yield f"SHA-256: {root.fingerprint}"
    yield "Whoever can read its key can impersonate any site to programs that trust it."
    yield f"The key stays on this machine: {key}"
    yield ""
    yield f"On this machine: sudo {print_it} --install"
    yield f"On others, with a copy of it ({print_it} > root.pem):"
    for store in STORES:
        yield f"  {store.systems}: {store.how_to_install('root.pem', _file_name(root))}"
    yield "  macOS: sudo security add-trusted-cert -d -r trustRoot \\"
    yield "    -k /Library/Keychains/System.keychain root.pem"
    yield "  Windows, as administrator: certutil -addstore -f ROOT root.pem"
    yield from _own_stores("root.pem", root.name)


def _own_stores(certificate: str, name: str) -> Iterator[str]:
    alias = shlex.quote(name)
    yield "Firefox, Chromium and Java on Linux have stores of their own:"
    yield f"  Chromium: certutil -A -t C,, -n {alias} -i {certificate} -d sql:$HOME/.pki/nssdb"
    yield f"  Firefox: certutil -A -t C,, -n {alias} -i {certificate} -d sql:PROFILE"
    yield "    where PROFILE is its directory, which about:profiles shows"
    yield f"  Java: keytool -importcert -cacerts -noprompt -alias {alias} -file {certificate}"
    yield "  (certutil is in the package libnss3-tools, nss-tools or nss)"


def _file_name(root: "RootCertificate") -> str:
    """The same for the same certificate, and another one for each other."""
    return f"blue-green-{root.fingerprint[:12]}"


def _trust_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.set_defaults(file=None)
    parser.add_argument(
        "--install",
        action="store_true",
        help="install it in the trust store of this system, as root, instead of printing it",
    )


COMMANDS = [
    Command(
        "trust",
        'print the root certificate of acme = "internal", or install it on this machine',
        _trust,
        _trust_arguments,
        "blue-green trust supervisor.toml > root.pem",
    ),
]
