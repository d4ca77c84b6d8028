"""The arguments of commands that have none."""

from attrs import define


@define
class NoArguments:
    pass
