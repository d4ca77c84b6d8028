"""Placeholders in commands."""

from blue_green.config.placeholders import Placeholders

FILLED = Placeholders("blue", "a" * 40, "/releases/a", instance="2")


def test_only_those_that_the_program_has_are_filled_in() -> None:
    """A process has no port, and a backend no number."""
    command = ["work", "-n", "{slot}{instance}", "--in={release}", "{port}", "{other}"]
    expected = ["work", "-n", "blue2", "--in=/releases/a", "{port}", "{other}"]
    assert FILLED.fill_in(command) == expected


def test_each_has_a_variable_of_its_name() -> None:
    assert FILLED.variables == {
        "BLUE_GREEN_SLOT": "blue",
        "BLUE_GREEN_REVISION": "a" * 40,
        "BLUE_GREEN_RELEASE": "/releases/a",
        "BLUE_GREEN_INSTANCE": "2",
    }
