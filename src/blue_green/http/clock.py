"""The Date field (RFC 9110 section 6.6.1), formatted once a second."""

import time
from email.utils import formatdate
from functools import lru_cache


def date_line() -> bytes:
    """The header line for a response that is sent now."""
    return _line(int(time.time()))


@lru_cache(1)
def _line(second: int) -> bytes:
    return b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
