"""`unit`: the systemd unit of a settings file."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from blue_green.cli.command import FAILED, OK, USAGE, Command, complain, file_argument, say
from blue_green.system import documents, root, users
from blue_green.system.other_sites import UNITS
from blue_green.system.printable import printable

RUNNING = Path("/run/systemd/system")
"""Exists if systemd is the init system (sd_booted(3))."""
NAME = "blue-green"
TIMEOUT = 60.0


def _unit(arguments: argparse.Namespace) -> int:
    if arguments.files:
        print("\n".join(map(str, documents.deploy_files())))
        return OK
    from blue_green.preflight import service_unit  # noqa: PLC0415 - slow to load
    from blue_green.supervisor import settings_file  # noqa: PLC0415 - slow to load

    unit = service_unit.make(arguments.file, settings_file.load(arguments.file), _program())
    for note in unit.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if arguments.install:
        return _install(unit.name, unit.text, force=arguments.force)
    print(unit.text, end="", flush=True)
    return OK


def _program() -> Path:
    """The path by which this program was started, which stays the same in an upgrade."""
    started = Path(sys.argv[0]).absolute()
    return started if started.name == NAME else Path(sys.executable).with_name(NAME)


def _install(name: str, text: str, *, force: bool) -> int:
    file = UNITS / name
    if os.geteuid() != 0:
        return complain("only root can install a unit: use sudo", USAGE)
    try:
        is_other = file.exists() and file.read_text(encoding="utf-8") != text
        if is_other and not force:
            return complain(
                f"{file} exists, and is another one: use --force to overwrite it. What you change "
                f"with `systemctl edit {name}` is kept",
                FAILED,
            )
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
    except (OSError, UnicodeDecodeError) as error:
        return complain(f"{file} cannot be written: {error}", FAILED)
    say(f"wrote {file}")
    if RUNNING.is_dir() and (why_not := _reload_units()):
        return complain(why_not, FAILED)
    say(f"next: systemctl enable --now {name.removesuffix('.service')}")
    return OK


def _reload_units() -> str:
    """Let systemd read its units again; why it did not."""
    us = users.owner_of(Path("/proc/self"))
    try:
        command = [root.program("systemctl", us), "daemon-reload"]
        env = root.environment(us, {})
        subprocess.run(command, env=env, check=True, timeout=TIMEOUT)
    except (OSError, subprocess.SubprocessError, root.Unsafe) as error:
        return f"systemd did not read it: {error}: systemctl daemon-reload"
    return ""


def _unit_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument(
        "--install",
        action="store_true",
        help=f"write it to {UNITS}, as root, instead of printing it",
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="print the paths of the units and configuration files for systemd that come with "
        "blue-green",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing unit")


COMMANDS = [
    Command(
        "unit",
        "print the systemd unit for a settings file, or install it",
        _unit,
        _unit_arguments,
        "blue-green unit /etc/blue-green/supervisor.toml",
    ),
]
