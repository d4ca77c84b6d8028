"""When a new value of a setting takes effect: part of its type, as in `limit: Now[Count]`."""

from enum import Enum
from typing import Annotated, TypeVar

from blue_green.config.command_line import command_line

T = TypeVar("T")


class Effect(Enum):
    """When a new value takes effect, as in JSON. The strings below are for docs/settings.md."""

    NOW = "now"
    """for everything that starts from now on; requests that are already held stay held. The live
    release is probed with the new `[health]` settings at once, so it must support a new `path`,
    too. The files of `error_pages` are read again."""
    NEXT_SWAP = "next swap"
    """running backends keep the old value until they are replaced: they are drained, stopped and,
    after a crash, started again with it, on their old ports or sockets. `blue-green restart` swaps
    to the same revision. A new port that the other slot still uses is taken as soon as it is
    free."""
    NEXT_BUILD = "next build"
    """for releases that are made from now on. A complete release stays as it is;
    `blue-green swap --rebuild` builds the live revision again beside it, and swaps to that."""
    RESTART = "restart"
    """the old value stays in force until the supervisor is restarted, or upgraded with
    `blue-green upgrade`."""

    def in_words(self, site: str = "") -> str:
        """The end of a sentence: "limit: 1 -> 2, at the next swap". `site` is one of several."""
        rebuild = command_line("swap", site, "--rebuild")
        return IN_WORDS[self].format(rebuild=rebuild)


IN_WORDS = {
    Effect.NOW: "now",
    Effect.NEXT_SWAP: "at the next swap",
    Effect.NEXT_BUILD: "at the next build (for the live release: {rebuild})",
    Effect.RESTART: "needs a restart of the supervisor",
}

Now = Annotated[T, Effect.NOW]
NextSwap = Annotated[T, Effect.NEXT_SWAP]
NextBuild = Annotated[T, Effect.NEXT_BUILD]
Restart = Annotated[T, Effect.RESTART]
