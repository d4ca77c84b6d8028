"""Which faults happen where: each once, in all phases, and two at a time."""

import itertools
import random

from attrs import frozen

from tests.faults.scene import PHASES
from tests.faults.table import FAULTS, Fault


@frozen
class Case:
    """Faults that happen together, in one phase of one swap, or in one wake."""

    strategy: str
    phase: str
    faults: tuple[Fault, ...]

    @property
    def soaks(self) -> bool:
        """Whether there is a soak before the end; without one, a drain has other ways out."""
        return self.phase in ("hand over", "soak", "retire")

    @property
    def kind(self) -> tuple[str, bool]:
        """Strategy and soak: cases of one kind run on one stage."""
        return self.strategy, self.soaks

    @property
    def allowed(self) -> set[str]:
        """Outcomes of requests, besides 200."""
        return {outcome for fault in self.faults for outcome in fault.allows}

    @property
    def loses_state(self) -> bool:
        return any(fault.loses_state for fault in self.faults)

    @property
    def is_retried(self) -> bool:
        return any(fault.is_retried for fault in self.faults)

    @property
    def ends_supervisor(self) -> bool:
        return any(fault.ends_supervisor for fault in self.faults)

    @property
    def outcome(self) -> str | None:
        """How the swap ends, if that is certain."""
        if self.ends_supervisor:
            return None
        telling = [fault for fault in self.faults if not fault.is_harmless]
        return telling[0].ends.get(self.phase) if len(telling) == 1 else None

    def __str__(self) -> str:
        return f"{self.strategy}, {self.phase}: {' + '.join(fault.name for fault in self.faults)}"


def each_once() -> list[Case]:
    """Each fault where it tells most; those of which nothing follows share a swap."""
    cases = [Case(*fault.telling, (fault,)) for fault in FAULTS if not fault.is_harmless]
    harmless = sorted((fault for fault in FAULTS if fault.is_harmless), key=_telling)
    shared = itertools.groupby(harmless, key=_telling)
    cases += [Case(*telling, tuple(faults)) for telling, faults in shared]
    return sorted(cases, key=_kind)


def _telling(fault: Fault) -> tuple[str, str]:
    return fault.telling


def _kind(case: Case) -> tuple[str, bool]:
    return case.kind


def all_phases() -> list[Case]:
    cases = [
        Case(strategy, phase, (fault,))
        for fault in FAULTS
        for strategy, phases in fault.places.items()
        for phase in phases
    ]
    return sorted(cases, key=_kind)


def pairs(seed: int) -> list[Case]:
    """Each two that go together, once in each strategy, in a phase that the seed chooses."""
    chance = random.Random(seed)
    cases = []
    for one, other in itertools.combinations(FAULTS, 2):
        if one.kind and one.kind == other.kind:
            continue
        for strategy, phases in PHASES.items():
            in_both = set(one.places[strategy]) & set(other.places[strategy])
            if both := [phase for phase in phases if phase in in_both]:
                cases.append(Case(strategy, chance.choice(both), (one, other)))
    return sorted(cases, key=_kind)
