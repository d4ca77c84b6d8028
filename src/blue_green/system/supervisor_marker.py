"""The environment variable that marks every process of a supervisor: its state directory."""

from pathlib import Path

NAME = "BLUE_GREEN_SUPERVISOR"


def variable(state_directory: Path) -> dict[str, str]:
    """The variable, to add to the environment of a process."""
    return {NAME: str(state_directory)}


def entry(state_directory: Path) -> str:
    """The variable as `NAME=value`, for `procfs.pids_of_supervisor`."""
    return f"{NAME}={state_directory}"
