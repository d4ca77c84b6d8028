"""The findings of checks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from attrs import asdict, frozen


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

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "output": list(self.output)}


Findings = Iterator[Finding]
Report = Callable[[Finding], None]
"""Called with each finding as soon as it is known."""


def passed(about: str, text: str) -> Finding:
    return Finding("passed", about, text)


def warned(about: str, text: str, advice: str) -> Finding:
    return Finding("warned", about, text, advice)


def failed(about: str, text: str, advice: str = "", output: Sequence[str] = ()) -> Finding:
    """`advice` may be empty if the text itself says what to do."""
    return Finding("failed", about, text, advice, tuple(output))
