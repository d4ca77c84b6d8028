"""The end of an HTTP/2 connection by an error (RFC 9113 section 5.4.1)."""

from h2.errors import ErrorCodes


class SessionOver(Exception):
    """The connection has to end, for the reason in `str()`: a clause without a full stop.

    The client gets `code` in a GOAWAY frame. A flood has the code ENHANCE_YOUR_CALM.
    """

    def __init__(self, code: ErrorCodes, why: str) -> None:
        super().__init__(why)
        self.code = code
