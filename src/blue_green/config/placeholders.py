"""The placeholders in commands, and the environment variables of the same names."""

import difflib
import re
from collections.abc import Iterator, Sequence

import attrs


@attrs.frozen
class Placeholders:
    """What the placeholders stand for in the command of one backend or process."""

    slot: str
    revision: str
    release: str
    """The directory of the release."""
    port: str = ""
    socket: str = ""
    """The path of a Unix socket. A backend has either this or a port."""
    instance: str = ""
    """The number of a process among those of its name."""

    def fill_in(self, command: Sequence[str]) -> list[str]:
        """Replace these placeholders only: other braces belong to the app."""
        values = {name: value for name, value in attrs.asdict(self).items() if value}
        ours = re.compile(r"\{(" + "|".join(values) + r")\}")
        return [ours.sub(lambda match: values[match[1]], word) for word in command]

    @property
    def variables(self) -> dict[str, str]:
        """`$BLUE_GREEN_PORT`, `$BLUE_GREEN_SLOT` and so on.

        The socket has none: `$BLUE_GREEN_SOCKET` is the control socket, for commands.
        """
        values = {name: value for name, value in attrs.asdict(self).items() if name != "socket"}
        return {f"BLUE_GREEN_{name.upper()}": value for name, value in values.items() if value}


def is_used(command: Sequence[str], name: str) -> bool:
    """Whether this placeholder is in the command."""
    return any(f"{{{name}}}" in word for word in command)


def misspelt(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Near misses in a command, each with the placeholder that it should be."""
    known = list(attrs.fields_dict(Placeholders))
    for name in re.findall(r"\{(\w+)\}", " ".join(command)):
        near = difflib.get_close_matches(name, known, 1)
        if name not in known and near:
            yield name, near[0]
