"""Settings that cannot be used."""


class ConfigError(Exception):
    """The settings cannot be used. `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
