"""Gates and targets with defaults."""

from typing import TypeVar

from blue_green.config.kinds import Count, Endpoint, Period
from blue_green.config.site_settings import HoldSettings
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Target

T = TypeVar("T")


def a_gate(*, timeout: float = 30, limit: int = 1000, ramp: int = 16) -> Gate:
    return Gate(HoldSettings(Period(timeout), Count(limit), Count(ramp)))


def a_target(port: int = 1, slot: str = "blue") -> Target:
    return Target(Endpoint("127.0.0.1", port), slot, "a" * 40)


def note(notes: list[T], what: T) -> bool:
    notes.append(what)
    return True
