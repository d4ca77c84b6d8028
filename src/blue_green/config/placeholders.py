"""The placeholders in `[app] command`, and the app's environment variables of the same names."""

import difflib
import re
from collections.abc import Iterator, Sequence

import attrs


@attrs.frozen
class Placeholders:
    """What the placeholders stand for in the command of one backend."""

    port: str
    slot: str
    revision: str
    release: str
    """The directory of the release."""

    def fill_in(self, command: Sequence[str]) -> list[str]:
        """Replace these placeholders only: other braces belong to the app."""
        values = attrs.asdict(self)
        ours = re.compile(r"\{(" + "|".join(values) + r")\}")
        return [ours.sub(lambda match: values[match[1]], word) for word in command]

    @property
    def variables(self) -> dict[str, str]:
        """`$BLUE_GREEN_PORT`, `$BLUE_GREEN_SLOT` and so on."""
        return {f"BLUE_GREEN_{name.upper()}": value for name, value in attrs.asdict(self).items()}


def misspelt(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Near misses in a command, each with the placeholder that it should be."""
    known = list(attrs.fields_dict(Placeholders))
    for name in re.findall(r"\{(\w+)\}", " ".join(command)):
        near = difflib.get_close_matches(name, known, 1)
        if name not in known and near:
            yield name, near[0]
