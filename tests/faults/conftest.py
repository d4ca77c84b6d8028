from collections.abc import Iterator

import pytest

from tests.faults.runner import Runner, Summary

SUMMARY = pytest.StashKey[Summary]()


@pytest.fixture(scope="session")
def runner(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Runner]:
    """One for all cases, which share its supervisors."""
    runner = Runner(tmp_path_factory.mktemp("faults"))
    request.config.stash[SUMMARY] = runner.summary
    yield runner
    runner.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (summary := config.stash.get(SUMMARY, None)) is not None:
        terminalreporter.write_sep("=", "faults")
        terminalreporter.write_line(str(summary))
