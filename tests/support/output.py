"""Lines of output, as a command writes them."""

from blue_green.system.output import Output

REVISION = "1a2b3c4" * 5 + "abcde"
OTHER = "5" * 40


def write(ring: Output, *lines: str, source: str = "blue", revision: str = REVISION) -> None:
    ring.take(source, revision, lines, is_error=False)
