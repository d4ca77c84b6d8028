"""The one exception for what is expected to go wrong in a swap."""

from collections.abc import Sequence


class StepFailed(Exception):
    """A step on the way to a new release failed; str() says why.

    `output` has the last lines that the program in question wrote.
    """

    def __init__(self, reason: str, output: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.output = tuple(output)
