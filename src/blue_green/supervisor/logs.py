"""The `logs` command: the output of backends, processes, builds and migrations."""

from collections.abc import Collection
from typing import Any

import trio
from attrs import define

from blue_green.control.server import Refusal, Send
from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.source.revision import ABBREVIATED
from blue_green.system.output import LineFilter, Output

KEEP_ALIVE = 15.0
"""Seconds without output after which an empty event shows whether the client is still there."""
SOURCES = ("blue", "green", "build", "migrate")


@define
class LogsArguments:
    which: str | None = None
    """Only lines from this slot or process, from `build` or `migrate`, or of this revision."""
    count: int = 50
    """How many past lines to show, at most."""
    follow: bool = False
    """Go on with new lines as they come."""


class Logs:
    """Carries out `logs`."""

    def __init__(self, output: Output, git: Git, processes: Collection[str]) -> None:
        """`processes` has the names of those whose lines can be asked for."""
        self._output = output
        self._git = git
        self._processes = processes

    async def run(self, arguments: LogsArguments, send: Send) -> dict[str, Any]:
        """Send lines of output in batches. A client that reads too slowly misses some."""
        if arguments.count < 0:
            raise Refusal("the number of lines cannot be negative", usage=True)
        output, matches = self._output, await self._filter(arguments.which)
        next_line, end = output.start_of_last(arguments.count, matches), output.end
        while arguments.follow or next_line < end:
            with trio.move_on_after(KEEP_ALIVE) as quiet:
                await output.until_line(next_line)
            batch = output.read(next_line, matches)
            next_line = batch.next_line
            if batch.lines or batch.lost or quiet.cancelled_caught:
                lines = [line.as_dict() for line in batch.lines]
                await send({"event": "lines", "lost": batch.lost, "lines": lines})
            await trio.lowlevel.checkpoint()
        return {}

    async def _filter(self, which: str | None) -> LineFilter:
        if which is None:
            return lambda source, revision: True
        if which in SOURCES:
            return lambda source, revision: source == which
        if which in self._processes:
            return lambda source, revision: source.partition(".")[0] == which
        # A commit id needs no git, which may be what is broken.
        is_id = ABBREVIATED.fullmatch(which)
        prefix = which if is_id else await self._resolve(which)
        return lambda source, revision: revision.startswith(prefix)

    async def _resolve(self, name: str) -> str:
        try:
            return await self._git.resolve(name)
        except GitError as error:
            sources = ", ".join([*SOURCES, *self._processes])
            raise Refusal(f"{name} is not one of {sources}; {error}", usage=True) from None
