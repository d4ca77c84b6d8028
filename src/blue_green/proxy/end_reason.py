"""Why a client connection is ended before its time."""

from enum import Enum


class EndReason(Enum):
    """Why the connection was ended before its time, in words for the access log."""

    TIMED_OUT = "The client sent nothing, or took nothing, for too long."
    DISCONNECTED = "The client disconnected."
    MALFORMED = "The rest of the request was malformed."
    BROKE_RULES = "The client broke the rules of the connection, which ended."
    EVICTED = "The client was slow, and all connections were taken."
    CUT = "The backend had to stop."
    SHUTDOWN = "The proxy stopped."


LEFT = (None, EndReason.DISCONNECTED, EndReason.MALFORMED, EndReason.BROKE_RULES)
"""Reasons beside which nothing but the client itself has ended its request."""
