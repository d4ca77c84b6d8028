"""A request's body that was received while the request has no backend."""

from typing import Protocol


class HeldBody(Protocol):
    """What an upgrade in place needs of it."""

    @property
    def is_in_memory(self) -> bool: ...

    @property
    def as_received(self) -> bytes:
        """All of it, in the framing of the client, if it is in memory."""
