"""The output of our programs, for those who ask for it and those who read along."""

from typing import Any

import trio
from attrs import define

from blue_green.control.server import Refusal, Tell
from blue_green.source.git import Git, GitError
from blue_green.source.revision import ABBREVIATED
from blue_green.system.output import Chosen, Output

KEEP_ALIVE = 15.0
"""Seconds without output after which we see whether the one who follows it is still there."""
SOURCES = ("blue", "green", "build", "migrate")


@define
class LogsArguments:
    which: str | None = None
    """Only what this slot, `build` or `migrate` wrote, or what belongs to this revision."""
    count: int = 50
    """How many lines there are to begin with, at most."""
    follow: bool = False
    """Go on with lines as they come."""


class Logs:
    """Carries out `logs`."""

    def __init__(self, output: Output, git: Git) -> None:
        self._output = output
        self._git = git

    async def run(self, arguments: LogsArguments, tell: Tell) -> dict[str, Any]:
        """Lines of output, some at a time. Who does not read them in time misses some."""
        if arguments.count < 0:
            raise Refusal("a count of lines cannot be negative", usage=True)
        output, chosen = self._output, await self._chosen(arguments.which)
        next_line, end = output.start_of_last(arguments.count, chosen), output.end
        while arguments.follow or next_line < end:
            with trio.move_on_after(KEEP_ALIVE) as quiet:
                await output.until_there_is(next_line)
            piece = output.read(next_line, chosen)
            next_line = piece.following
            if piece.lines or piece.lost or quiet.cancelled_caught:
                lines = [line.as_dict() for line in piece.lines]
                await tell({"event": "lines", "lost": piece.lost, "lines": lines})
            await trio.lowlevel.checkpoint()
        return {}

    async def _chosen(self, which: str | None) -> Chosen:
        if which is None:
            return lambda source, revision: True
        if which in SOURCES:
            return lambda source, revision: source == which
        # An id needs no git, which may be just what does not work.
        is_id = ABBREVIATED.fullmatch(which)
        wanted = which if is_id else await self._resolve(which)
        return lambda source, revision: revision.startswith(wanted)

    async def _resolve(self, name: str) -> str:
        try:
            return await self._git.resolve(name)
        except GitError as error:
            raise Refusal(str(error), usage=True) from None
