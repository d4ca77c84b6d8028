"""How many faults were injected, and what became of the requests meanwhile."""

import time

from attrs import define, field


@define
class Summary:
    """What a run did."""

    cases: int = 0
    faults: int = 0
    sent: int = 0
    passed: int = 0
    began: float = field(factory=time.monotonic)

    def add(self, other: "Summary") -> None:
        """What another process did at the same time."""
        self.cases += other.cases
        self.faults += other.faults
        self.sent += other.sent
        self.passed += other.passed
        self.began = min(self.began, other.began)

    def __str__(self) -> str:
        return (
            f"{self.faults} faults were injected into {self.cases} swaps under load; {self.passed} "
            f"requests passed, {self.sent - self.passed} failed in a way that the design names; "
            f"{time.monotonic() - self.began:.0f} s"
        )
