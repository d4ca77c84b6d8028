from collections.abc import Iterator

import pytest

from tests.support import browser
from tests.support.browser import Browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests; without one, they are skipped."""
    if browser.COMMAND is None:
        pytest.skip("there is no chromium")
    with Browser.running(tmp_path_factory.mktemp("browser")) as running:
        yield running
