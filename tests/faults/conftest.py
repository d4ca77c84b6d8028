from collections.abc import Iterator

import pytest

from tests.conftest import FAULTS
from tests.faults.runner import Runner
from tests.faults.summary import Summary


@pytest.fixture(scope="module")
def runner(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Runner]:
    """One for all cases of a process, whose supervisors end with the last of them."""
    summary = request.config.stash.setdefault(FAULTS, Summary())
    runner = Runner(tmp_path_factory.mktemp("faults"), summary)
    yield runner
    runner.close()
