from collections.abc import Iterator

import pytest

from tests.support import browser
from tests.support.browser import Browser


@pytest.fixture(scope="session")
def tls_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that does not check certificates; without one, the tests are skipped."""
    if browser.COMMAND is None:
        pytest.skip("there is no chromium")
    directory = tmp_path_factory.mktemp("browser")
    with Browser.running(directory, "--ignore-certificate-errors") as running:
        yield running
