"""A problem that an ACME authority reports (RFC 8555 section 6.7)."""

from acme import messages

from blue_green.system.printable import printable

LONGEST_QUOTE = 400


def kind_of(problem: messages.Error) -> str:
    """Such as `rateLimited`; of other problems, whatever their type ends in."""
    return str(problem.typ).rpartition(":")[2]


def quote_of(problem: messages.Error) -> str:
    """What the authority says about it, for people."""
    parts = [problem.detail, *(part.detail for part in problem.subproblems or ())]
    return quoted("; ".join(str(part) for part in parts if part) or kind_of(problem))


def quoted(text: object) -> str:
    """Text from outside: on one line, printable, and bounded."""
    line = printable(" ".join(str(text)[: 4 * LONGEST_QUOTE].split())).replace('"', "'")
    return f'"{line}"' if len(line) <= LONGEST_QUOTE else f'"{line[:LONGEST_QUOTE]} ..."'
