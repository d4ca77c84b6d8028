"""What a block of each language is held to: by the program that would read it, where it is here."""

import argparse
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from blue_green import cli
from blue_green.config import parsing
from blue_green.config.site_document import is_single
from tests.docs.blocks import TOP, Block, commands
from tests.docs.settings import EXAMPLES
from tests.support.units import problems_of_unit

REQUIRED = {"command": ["serve"]}
STATIC_ONLY = {"fallback", "not_found"}
"""Keys of `[files]` that only a site without an app has."""


def check_toml(block: Block, _: Path) -> None:
    """Settings, whole or a part. Most parts of the page of all settings make one whole."""
    document = tomllib.loads(block.text)
    if not is_single(document):
        parsing.parse(_with_required(document), Path("/etc/blue-green/supervisor.toml"))
        return
    if block.page == "docs/settings.md":
        document = tomllib.loads(EXAMPLES.read_text())
    if not STATIC_ONLY & document.get("files", {}).keys():
        document["app"] = {**REQUIRED, **document.get("app", {})}
    _complete_tls(document)
    parsing.parse(document, Path("/etc/blue-green/supervisor.toml"))


def _with_required(document: dict[str, Any]) -> dict[str, Any]:
    """Settings of several sites, each with a host and a command."""
    for name, site in document.get("sites", {}).items():
        site.setdefault("hosts", [f"{name}.example.com"])
        site["app"] = {**REQUIRED, **site.get("app", {})}
    return document


def _complete_tls(document: dict[str, Any]) -> None:
    """What a part about TLS takes for granted: hosts, and for `[tls]` of a site `[proxy.tls]`."""
    if "tls" in document:
        document.setdefault("proxy", {}).setdefault("tls", {"acme": "you@example.com"})
    if "acme" in document.get("proxy", {}).get("tls", {}):
        document.setdefault("hosts", ["app.example.com"])


def check_sh(block: Block, _: Path) -> None:
    """What `table.py` says of it is more than this."""
    done = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for command in commands(block.text):
        check_command(command)


def check_command(words: list[str]) -> None:
    """By what reads the arguments of the real command."""
    if words == ["--version"]:
        return
    known = {command.name: command for command in cli.COMMANDS}
    assert words[0] in known, f"there is no blue-green {words[0]}"
    parser = argparse.ArgumentParser(exit_on_error=False)
    known[words[0]].arguments(parser)
    arguments, unknown = parser.parse_known_args(words[1:])
    assert (arguments is not None, unknown) == (True, []), f"blue-green {' '.join(words)}"


def check_ini(block: Block, directory: Path) -> None:
    """Units: a `[Service]` without a command is what `systemctl edit` puts on top of ours."""
    _needed("systemd-analyze")
    text = block.text
    if "[Service]" in text and "ExecStart=" not in text:
        ours = (TOP / "deploy" / "blue-green.service").read_text()
        text = f"{ours}\n{text}"
    kind = "socket" if "[Socket]" in text else "service"
    if kind == "socket":
        shutil.copy(TOP / "deploy" / "blue-green.service", directory)
    assert problems_of_unit(text, directory / f"blue-green.{kind}") == []


def check_haproxy(block: Block, directory: Path) -> None:
    file = directory / "haproxy.cfg"
    file.write_text(block.text)
    _accepted("haproxy", "-c", "-f", str(file))


def check_nginx(block: Block, directory: Path) -> None:
    file = directory / "nginx.conf"
    here = re.sub(r"server_name", "listen 127.0.0.1:18080; server_name", block.text)
    file.write_text(f"pid {directory}/pid; events {{}} http {{ access_log off; {here} }}")
    _accepted("nginx", "-t", "-q", "-p", str(directory), "-e", "stderr", "-c", str(file))


def check_caddyfile(block: Block, directory: Path) -> None:
    file = directory / "Caddyfile"
    file.write_text(block.text)
    _accepted("caddy", "adapt", "--config", str(file), "--adapter", "caddyfile")


def check_python(block: Block, _: Path) -> None:
    compile(block.text, block.page, "exec")


def check_yaml(block: Block, _: Path) -> None:
    yaml = pytest.importorskip("yaml")  # Datasette brings it.
    assert yaml.safe_load(block.text)


def check_json(block: Block, _: Path) -> None:
    assert json.loads(block.text)


def check_text(_: Block, __: Path) -> None:
    """A drawing, or what a program prints: for people."""


CHECKS: Mapping[str, Callable[[Block, Path], None]] = {
    "toml": check_toml,
    "sh": check_sh,
    "ini": check_ini,
    "haproxy": check_haproxy,
    "nginx": check_nginx,
    "caddyfile": check_caddyfile,
    "python": check_python,
    "yaml": check_yaml,
    "json": check_json,
    "text": check_text,
}


def _needed(program: str) -> str:
    found = shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _accepted(program: str, *words: str) -> None:
    done = subprocess.run(
        [_needed(program), *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
