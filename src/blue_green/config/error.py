"""Settings that cannot be used."""


class ConfigError(Exception):
    """The settings cannot be used. `problems` has one line for each error in them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
