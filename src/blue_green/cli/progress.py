"""The progress of a swap, shown to the user who started it.

On a terminal the current phase is redrawn in place, with its duration and the number of held
requests. A pipe gets one line per phase, when the phase has ended.
"""

from collections.abc import Mapping
from typing import Any, TextIO

from blue_green.cli.terminal import Style
from blue_green.system.printable import printable

CLEAR_LINE = "\r\x1b[K"
"""Return to the start of the line, and erase it (ECMA-48, EL)."""


class Progress:
    """Draws the events that the supervisor sends."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._style = Style.of(out)
        self._revision = ""
        """The one in the title: a newer one may take its place."""
        self._done = ""
        """The last phase that has ended."""
        self._is_line_open = False
        """The last line has no newline yet, and may be redrawn."""

    def event(self, message: Mapping[str, Any]) -> None:
        """Show an event; unknown kinds are ignored."""
        if self._quiet:
            return
        kind = message["event"]
        if kind == "phase":
            self._write_title(message["revision"])
            self._draw(message["phase"], 0.0, 0)
        elif kind == "tick" and self._style.can_redraw and message["phase"] not in ("", self._done):
            self._write_title(message["revision"])
            detail = message.get("detail", "")  # Missing in the answers of older supervisors.
            self._draw(message["phase"], message["seconds"], message["held"], detail)
        elif kind == "lines":
            self._write_lines(message)
        elif kind == "done":
            self._write_title(message["revision"])
            self._finish(message["phase"], message["seconds"])

    def clear(self) -> None:
        """Erase the unfinished line."""
        if self._is_line_open:
            self._write(CLEAR_LINE)
        self._is_line_open = False

    def leave(self) -> None:
        """Keep the unfinished line, and end it."""
        if self._is_line_open:
            self._write("\n")
        self._is_line_open = False

    def _write_title(self, revision: str) -> None:
        if revision != self._revision:
            self._revision = revision
            self.clear()
            self._write(self._style.line(("swap to ", "bold"), (revision[:7], "bold")) + "\n")

    def _draw(self, phase: str, seconds: float, held: int, detail: str = "") -> None:
        if not self._style.can_redraw:
            return
        sign = "…" if self._style.unicode else " "
        waiting = ("  1 request held" if held == 1 else f"  {held} requests held") if held else ""
        style = Style.of(self._out)  # Again: the terminal may have been resized.
        line = style.line(
            (f"  {sign} ", "cyan"),
            f"{phase:<10} {seconds:6.1f} s",
            (waiting, "yellow"),
            (f"  {detail}" if detail else "", "dim"),
        )
        self._write(CLEAR_LINE + line)
        self._is_line_open = True

    def _write_lines(self, message: Mapping[str, Any]) -> None:
        """Output of a build or a migration."""
        self.clear()
        if message["lost"]:
            self._write(f"    ... {message['lost']} lines were too fast to be shown\n")
        for line in message["lines"]:
            self._write(f"    {printable(line['text'])}\n")

    def _finish(self, phase: str, seconds: float) -> None:
        self.clear()
        self._done = phase
        if self._style.can_redraw:
            sign = "✓" if self._style.unicode else "-"
            line = self._style.line((f"  {sign} ", "green"), f"{phase:<10} {seconds:6.2f} s")
        else:
            line = f"  {phase:<10} {seconds:6.2f} s"
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
