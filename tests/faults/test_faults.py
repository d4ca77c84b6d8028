"""Each fault in the phase where it tells most; with `-m long` in all phases, and in pairs."""

import pytest

from tests.faults import cases
from tests.faults.cases import Case
from tests.faults.runner import Runner

SEED = 1


async def passes(runner: Runner, case: Case) -> None:
    if skipped := await runner.run(case):
        pytest.skip(skipped)


@pytest.mark.parametrize("case", cases.each_once(), ids=str)
async def test_a_fault_costs_no_request(runner: Runner, case: Case) -> None:
    await passes(runner, case)


@pytest.mark.long
@pytest.mark.parametrize("case", cases.all_phases(), ids=str)
async def test_a_fault_costs_no_request_in_any_phase(runner: Runner, case: Case) -> None:
    await passes(runner, case)


@pytest.mark.long
@pytest.mark.parametrize("case", cases.pairs(SEED), ids=str)
async def test_two_faults_at_once_cost_no_request(runner: Runner, case: Case) -> None:
    await passes(runner, case)
