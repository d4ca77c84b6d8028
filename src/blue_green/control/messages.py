"""Messages of the control protocol: one JSON object per line."""

import json
from typing import Any

MAX_LINE = 64 * 1024


class BadMessage(Exception):
    """A line that is not a valid message; str() says why."""


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise BadMessage("this is not a line of JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("this is not a JSON object")
    return message
