"""Commands for before the first deploy: settings to begin with, and what can be known of it."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from blue_green.cli.command import (
    DEFAULT_FILE,
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    Command,
    complain,
    file_argument,
    say,
)
from blue_green.config.error import ConfigError

if TYPE_CHECKING:
    from blue_green.preflight.checks.finding import Finding


class _Report:
    """What was found: a line each as it comes, or all as one JSON object at the end."""

    def __init__(self, file: Path, *, is_json: bool) -> None:
        self._file = file
        self._is_json = is_json
        self._findings: list[Finding] = []
        self._gone: BrokenPipeError | None = None

    def tell(self, finding: "Finding") -> None:
        self._findings.append(finding)
        if self._is_json or self._gone:
            return
        try:
            say(_in_words(finding))
        except BrokenPipeError as error:
            self._gone = error  # To be told when what was started has been cleared away.

    def end(self) -> int:
        """Say the rest; the exit status."""
        if self._gone:
            raise self._gone
        count = Counter(finding.verdict for finding in self._findings)
        if self._is_json:
            findings = [finding.as_dict() for finding in self._findings]
            verdict = "failed" if count["failed"] else "warned" if count["warned"] else "passed"
            print(json.dumps({"file": str(self._file), "verdict": verdict, "findings": findings}))
        else:
            passed, warned, failed = count["passed"], count["warned"], count["failed"]
            print(f"{passed} passed, {warned} warned, {failed} failed")
        return FAILED if count["failed"] else OK


def _check(arguments: argparse.Namespace) -> int:
    from blue_green.preflight.checks import finding, run_checks  # noqa: PLC0415
    from blue_green.supervisor import settings_file  # noqa: PLC0415

    report = _Report(arguments.file, is_json=arguments.json)
    try:
        settings = settings_file.load(arguments.file)
    except ConfigError as error:
        for problem in error.problems:
            report.tell(finding.failed("settings", problem))
        report.end()
        return USAGE
    ended = run_checks.run(arguments.file, settings, report.tell, start=arguments.start)
    status = report.end()
    return status if ended else INTERRUPTED


def _in_words(finding: "Finding") -> str:
    lines = [f"{finding.verdict}  {finding.about}: {finding.text}"]
    if finding.advice:
        lines.append(f"        what to do: {finding.advice}")
    if finding.output:
        lines.append("        its last lines:")
        lines += [f"            {line}" for line in finding.output]
    return "\n".join(lines)


def _init(arguments: argparse.Namespace) -> int:
    from blue_green.preflight.init.write import CannotWrite, write  # noqa: PLC0415 - slow, and only for this

    def ask(question: str) -> str:
        if arguments.yes:
            return ""
        try:
            return input(question)
        except EOFError:
            return ""

    try:
        app = write(arguments.file, arguments.checkout, ask, force=arguments.force)
    except CannotWrite as error:
        return complain(str(error), FAILED)
    say(f"{arguments.file} is written for {app.kind}: {app.because}")
    for advice in app.advice:
        say(f"note: {advice}")
    say(f"next: blue-green check --start {arguments.file}")
    return OK


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkout", nargs="?", type=Path, default=Path(), metavar="CHECKOUT",
        help="a git work tree with the app (default: this directory)",
    )  # fmt: skip
    parser.add_argument(
        "--file", type=Path, default=Path(DEFAULT_FILE), help=f"to write (default: {DEFAULT_FILE})"
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what is likeliest")
    parser.add_argument("--force", action="store_true", help="also if the file is there already")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument(
        "--start", action="store_true", help="also build HEAD, start it on a free port and ask it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


COMMANDS = [
    Command(
        "init",
        "write a supervisor.toml for the app in a checkout",
        _init,
        _init_arguments,
        "blue-green init --yes /srv/blog",
    ),
    Command(
        "check",
        "tell what can be known before the first deploy",
        _check,
        _check_arguments,
        "blue-green check --start supervisor.toml",
    ),
]
