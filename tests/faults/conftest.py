from collections.abc import Iterator

import pytest

from tests.conftest import FAULTS
from tests.faults.runner import Runner


@pytest.fixture(scope="session")
def runner(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Runner]:
    """One for all cases of a process, which share its supervisors."""
    runner = Runner(tmp_path_factory.mktemp("faults"))
    request.config.stash[FAULTS] = runner.summary
    yield runner
    runner.close()
