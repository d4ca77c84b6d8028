"""Pushes to the checkout that are live, and whose HEAD git moves only after that."""

import trio

EXPECTED = 30.0
"""Seconds after a swap in which git moves HEAD, if it does."""


class Pushes:
    """Remembers the revisions of pushes until the watch reports them."""

    def __init__(self) -> None:
        self._deployed: list[tuple[str, float]] = []

    def deployed(self, revision: str) -> None:
        """The swap of a push has succeeded: HEAD is about to be this revision."""
        self._deployed.append((revision, trio.current_time() + EXPECTED))

    def refused(self, revision: str) -> None:
        """The push is refused after all: HEAD stays where it is."""
        self._deployed = [entry for entry in self._deployed if entry[0] != revision]

    @property
    def pending(self) -> str | None:
        """The newest revision that is expected to become HEAD."""
        self._forget_old()
        return self._deployed[-1][0] if self._deployed else None

    def take(self, head: str) -> bool:
        """Whether HEAD moved to the revision of a push, which needs no further swap."""
        self._forget_old()
        revisions = [revision for revision, _ in self._deployed]
        is_expected = head in revisions
        # Those before it were HEAD only between two looks of the watch, or never.
        self._deployed = self._deployed[revisions.index(head) + 1 :] if is_expected else []
        return is_expected

    def _forget_old(self) -> None:
        now = trio.current_time()
        self._deployed = [(revision, due) for revision, due in self._deployed if due > now]
