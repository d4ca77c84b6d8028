from pathlib import Path

import pytest

from tests.raw.tls_client import PemPair, write_pair


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> PemPair:
    """A certificate for all tests of this directory."""
    directory: Path = tmp_path_factory.mktemp("certificate")
    return write_pair(directory)
