"""A checkout and its settings, for the tests of what is checked of them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from blue_green.preflight.checks import run_checks
from blue_green.preflight.checks.finding import Finding
from blue_green.supervisor import settings_file
from blue_green.system import procfs, supervisor_marker
from tests.support.repository import Repository
from tests.support.site import free_ports

ANSWERS = """\
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class StatusHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = {status}
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass

print("it starts", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), StatusHandler).serve_forever()
"""
LOCAL_ONLY = '200 if self.headers["Host"] == "localhost" else 400'


class CheckedSite:
    """A checkout and its settings, to be checked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "supervisor.toml"
        self.checkout = Repository(directory / "checkout")
        self.state = directory / "state"
        self.port, self.blue, self.green = free_ports(3)
        self.sections: dict[str, Any] = {
            "app": {"command": [sys.executable, "app.py"], "ports": [self.blue, self.green]},
            "git": {"checkout": "checkout"},
            "proxy": {"listen": [f"127.0.0.1:{self.port}"], "max_connections": 100},
            "state": {"directory": "state"},
        }
        self.answers("200")

    def answers(self, status: str) -> None:
        """Commit an app that answers so."""
        (self.checkout.path / "app.py").write_text(ANSWERS.format(status=status))
        self.checkout.commit()

    def configure(self, **sections: dict[str, Any]) -> None:
        for section, values in sections.items():
            self.sections[section] = {**self.sections.get(section, {}), **values}
        self.file.write_text(tomli_w.dumps(self.sections))

    def check(self, *, start: bool = False, **sections: dict[str, Any]) -> list[Finding]:
        """All findings, with these settings changed."""
        self.configure(**sections)
        found: list[Finding] = []
        settings = settings_file.load(self.file)
        assert run_checks.run(self.file, settings, settings.sites, found.append, start=start)
        return found


def troubles(found: Sequence[Finding]) -> list[Finding]:
    """All that did not pass; that root runs the tests is not the subject's fault."""
    return [one for one in found if one.verdict != "passed" and "runs as root" not in one.text]


def only(found: Sequence[Finding]) -> Finding:
    trouble = troubles(found)
    assert len(trouble) == 1, trouble
    return trouble[0]


def left_behind(subject: CheckedSite) -> list[str]:
    """Files, processes, and git's records of a trial start."""
    temporary = subject.directory / "tmp"
    worktrees = subject.checkout.git("worktree", "list").splitlines()[1:]
    processes = [
        str(pid)
        for directory in temporary.iterdir()
        for pid in procfs.pids_of_supervisor(supervisor_marker.entry(directory))
    ]
    return [*map(str, temporary.iterdir()), *worktrees, *processes]
