"""The access log, as a program reads it."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from blue_green.system import log

Lines = Callable[[], list[dict[str, Any]]]


@contextmanager
def logged(capfd: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """The real log, to standard error; gives the access lines so far, understood."""
    text = ""

    def lines() -> list[dict[str, Any]]:
        nonlocal text
        text += capfd.readouterr().err
        return [fields for line in text.splitlines() if (fields := understood(line))]

    with log.to_stderr():
        yield lines


def understood(line: str) -> dict[str, Any]:
    """What a program makes of an access line, in either form."""
    if line.startswith("{"):
        fields: dict[str, Any] = json.loads(line)["request"]
        return fields
    _, kind, *words = shlex.split(line)
    if kind != "request":
        return {}
    return {name: _value(text) for name, text in (word.split("=", 1) for word in words)}


def _value(text: str) -> object:
    return {"true": True}.get(text, int(text) if text.isdecimal() else text)
