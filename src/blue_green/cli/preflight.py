"""Commands for before the first deploy: `init` writes settings, and `check` verifies them."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from blue_green.cli.command import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    Command,
    bounded,
    complain,
    file_argument,
    say,
)
from blue_green.config.error import ConfigError
from blue_green.system import documents, running_supervisors
from blue_green.system.running_supervisors import DEFAULT_FILE

if TYPE_CHECKING:
    from blue_green.preflight.checks.finding import Finding
    from blue_green.preflight.init.write import Written


class _Report:
    """Prints findings: each as it comes, or all as one JSON object at the end."""

    def __init__(self, file: Path, *, is_json: bool) -> None:
        self._file = file
        self._is_json = is_json
        self._findings: list[Finding] = []
        self._broken_pipe: BrokenPipeError | None = None
        """Raised at the end, so that a trial start is still cleaned up."""

    def add(self, finding: "Finding") -> None:
        self._findings.append(finding)
        if self._is_json or self._broken_pipe:
            return
        try:
            say(_as_text(finding))
        except BrokenPipeError as error:
            self._broken_pipe = error

    def end(self) -> int:
        """Print the summary, and return the exit status."""
        if self._broken_pipe:
            raise self._broken_pipe
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
        settings, broken = settings_file.load_usable(arguments.file)
    except ConfigError as error:
        for problem in error.problems:
            report.add(finding.failed("settings", problem))
        report.end()
        return USAGE
    names = sorted([*broken, *(site.name for site in settings.sites)])
    if arguments.site not in (None, *names):
        return complain(f"there is no site {arguments.site}; there are: {', '.join(names)}", USAGE)
    chosen = [name for name in names if arguments.site in (None, name)]
    for name in chosen:
        for problem in broken.get(name, ()):
            finding.for_site(report.add, name)(finding.failed("settings", problem))
    if not broken:
        report.add(finding.passed("settings", f"{arguments.file} is valid"))
    for pattern in settings_file.unmatched_patterns(arguments.file):
        advice = "correct the pattern, or add a site with `blue-green init`"
        report.add(finding.warned("include", f"{pattern} matches no file", advice))
    sites = [site for site in settings.sites if site.name in chosen]
    is_complete = run_checks.run(arguments.file, settings, sites, report.add, start=arguments.start)
    status = report.end()
    if not is_complete:
        return INTERRUPTED
    return USAGE if not broken.keys().isdisjoint(chosen) else status


def _as_text(finding: "Finding") -> str:
    lines = [f"{finding.verdict}  {finding.title}: {finding.text}"]
    if finding.advice:
        lines.append(f"        to fix: {finding.advice}")
    if finding.output:
        lines.append("        last lines of output:")
        lines += [f"            {line}" for line in finding.output]
    return "\n".join(map(bounded, lines))


def _init(arguments: argparse.Namespace) -> int:
    from blue_green.preflight.init.destination import CannotWrite  # noqa: PLC0415 - slow to load
    from blue_green.preflight.init.write import write  # noqa: PLC0415 - slow to load

    def ask(question: str) -> str:
        if arguments.yes:
            return ""
        try:
            return input(question)
        except EOFError:
            return ""

    def ask_https(question: str) -> str:
        return ask(question) if sys.stdin.isatty() else ""

    try:
        written = write(
            arguments.file,
            arguments.checkout,
            ask,
            ask_https=ask_https,
            hosts=arguments.host,
            acme=arguments.acme,
            several=arguments.several,
            force=arguments.force,
        )
    except CannotWrite as error:
        return complain(str(error), FAILED)
    _say_what_follows(written)
    return OK


def _say_what_follows(written: "Written") -> None:
    """Say what `init` wrote, and what the user can do next."""
    app, to = written.app, written.to
    say(f"wrote {to.file} for {app.kind}: {app.because}")
    for advice in app.advice:
        say(f"note: {advice}")
    if written.acme is not None:
        page = documents.path_of("certificates.md")
        say(f"note: HTTPS for {', '.join(written.hosts)}: {page} says what that needs")
    if to.main is None:
        for other in running_supervisors.supervisors():
            page = documents.path_of("sites.md")
            say(f"note: {other.file} serves another app here; to serve both with it, see {page}")
        say(f"next: blue-green check --start {to.file}")
        return
    say(f"the site {to.name} gets the requests for {', '.join(written.hosts)}")
    say(f"next: blue-green check --start --site {to.name} {to.main}")
    say("then: blue-green reload, if the supervisor is running")


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkout", nargs="?", type=Path, default=Path(), metavar="CHECKOUT",
        help="the app's git checkout (default: the current directory)",
    )  # fmt: skip
    parser.add_argument(
        "--file",
        type=Path,
        default=Path(DEFAULT_FILE),
        help="the file to write, or the settings file of several sites, to add the app to "
        f"(default: {DEFAULT_FILE})",
    )
    parser.add_argument(
        "--host", action="append", default=[], metavar="HOST",
        help="a host of the site, such as blog.example.com; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--acme", metavar="MAIL",
        help="your mail address: certificates for the hosts come from Let's Encrypt; or "
        '"internal": from an authority of this machine\'s own, for localhost and local networks',
    )  # fmt: skip
    parser.add_argument(
        "--several",
        action="store_true",
        help="write a settings file for several sites, and the app's own in sites/",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask: use the most likely app")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--site", metavar="SITE", help="check only this site (default: all)")
    parser.add_argument(
        "--start", action="store_true", help="also build HEAD, start it on a free port and probe it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


COMMANDS = [
    Command(
        "init",
        "write settings for the app in a checkout, or add it to those of several sites",
        _init,
        _init_arguments,
        "blue-green init --yes /srv/blog",
    ),
    Command(
        "check",
        "list problems that can be found before the first deploy, and how to fix them",
        _check,
        _check_arguments,
        "blue-green check --start supervisor.toml",
    ),
]
