"""What a check has found."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from attrs import asdict, frozen


@frozen
class Finding:
    """One thing that was looked at, and what to do if it is not as it should be."""

    verdict: Literal["passed", "warned", "failed"]
    about: str
    """The setting, or the thing."""
    text: str
    advice: str = ""
    output: tuple[str, ...] = ()
    """The last lines of the program in question."""

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "output": list(self.output)}


Findings = Iterator[Finding]
Tell = Callable[[Finding], None]
"""Told of each finding as it is made."""


def passed(about: str, text: str) -> Finding:
    return Finding("passed", about, text)


def warned(about: str, text: str, advice: str) -> Finding:
    return Finding("warned", about, text, advice)


def failed(about: str, text: str, advice: str = "", output: Sequence[str] = ()) -> Finding:
    """`advice` is empty where the text says itself what to do."""
    return Finding("failed", about, text, advice, tuple(output))
