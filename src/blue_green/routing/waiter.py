"""A request that waits at the gate, and its refusal."""

import trio


class Refused(Exception):
    """A request can neither pass nor wait any longer; str() says why."""

    def __init__(self, why: str, retry_after: int) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds after which a retry makes sense."""


class Waiter:
    """One request in the queue. It keeps its place until it goes or gives up."""

    __slots__ = ("_began", "must_check", "refused", "scope", "turn")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        """Cancelled when it has waited long enough."""
        self.turn = trio.Event()
        self.refused: Refused | None = None
        self.must_check = False
        """Whether it may still wait has to be checked."""
        self._began = trio.current_time()

    @property
    def waited(self) -> float:
        """Seconds."""
        return trio.current_time() - self._began
