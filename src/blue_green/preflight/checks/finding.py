"""The findings of checks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from attrs import asdict, evolve, frozen


@frozen
class Finding:
    """The result of one check, and how to fix what it found."""

    verdict: Literal["passed", "warned", "failed"]
    about: str
    """The setting, or another thing that was checked."""
    text: str
    advice: str = ""
    output: tuple[str, ...] = ()
    """The last lines that the program wrote."""
    site: str = ""
    """The name of one of several sites; empty if it is about all of them, or if there is one."""

    @property
    def title(self) -> str:
        """What was checked, such as `sites.blog [app] command`."""
        return f"sites.{self.site} {self.about}" if self.site else self.about

    def as_dict(self) -> dict[str, Any]:
        fields = {**asdict(self), "output": list(self.output)}
        if not self.site:
            del fields["site"]
        return fields


Findings = Iterator[Finding]
Report = Callable[[Finding], None]
"""Called with each finding as soon as it is known."""


def for_site(report: Report, name: str) -> Report:
    """Report findings about this site."""
    return lambda finding: report(evolve(finding, site=name))


def passed(about: str, text: str) -> Finding:
    return Finding("passed", about, text)


def warned(about: str, text: str, advice: str) -> Finding:
    return Finding("warned", about, text, advice)


def failed(about: str, text: str, advice: str = "", output: Sequence[str] = ()) -> Finding:
    """`advice` may be empty if the text itself says what to do."""
    return Finding("failed", about, text, advice, tuple(output))
