"""A swap on the screen of whoever asked for it, as it happens.

On a terminal the phase in hand is drawn again and again, with its time and how many requests are
held. In a pipe there is a line for each phase, when it has ended.
"""

from collections.abc import Mapping
from typing import Any, TextIO

from blue_green.cli.terminal import Look

AGAIN = "\r\x1b[K"
"""Back to the start of the line, and clear it (ECMA-48, EL)."""


class Progress:
    """Draws what the supervisor tells."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._look = Look.of(out)
        self._revision = ""
        """The one that is told of: a newer one may take its place."""
        self._done = ""
        """The phase that has ended last."""
        self._begun = False
        """The last line may be drawn again."""

    def event(self, message: Mapping[str, Any]) -> None:
        """Show what happened; what we do not know is left out."""
        if self._quiet:
            return
        kind = message["event"]
        if kind == "phase":
            self._entitle(message["revision"])
            self._draw(message["phase"], 0.0, 0)
        elif kind == "tick" and self._look.moves and message["phase"] not in ("", self._done):
            self._entitle(message["revision"])
            self._draw(message["phase"], message["seconds"], message["held"])
        elif kind == "done":
            self._entitle(message["revision"])
            self._finish(message["phase"], message["seconds"])

    def clear(self) -> None:
        """Take the unfinished line away."""
        if self._begun:
            self._write(AGAIN)
        self._begun = False

    def leave(self) -> None:
        """Leave the unfinished line as it is."""
        if self._begun:
            self._write("\n")
        self._begun = False

    def _entitle(self, revision: str) -> None:
        if revision != self._revision:
            self._revision = revision
            self.clear()
            self._write(self._look.line(("swap to ", "bold"), (revision[:7], "bold")) + "\n")

    def _draw(self, phase: str, seconds: float, held: int) -> None:
        if not self._look.moves:
            return
        sign = "…" if self._look.unicode else " "
        waiting = ("  1 request held" if held == 1 else f"  {held} requests held") if held else ""
        # The terminal may have been resized.
        look = Look.of(self._out)
        line = look.line(
            (f"  {sign} ", "cyan"), f"{phase:<10} {seconds:6.1f} s", (waiting, "yellow")
        )
        self._write(AGAIN + line)
        self._begun = True

    def _finish(self, phase: str, seconds: float) -> None:
        self.clear()
        self._done = phase
        if self._look.moves:
            sign = "✓" if self._look.unicode else "-"
            line = self._look.line((f"  {sign} ", "green"), f"{phase:<10} {seconds:6.2f} s")
        else:
            line = f"  {phase:<10} {seconds:6.2f} s"
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
