import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.site import Site
from tests.subject import Subject

hypothesis.settings.register_profile("default", deadline=None)  # How long it takes proves nothing.

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell has it for what it runs in the background. Our children would inherit it, and some
    # tests are about what ^C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--timed",
        action="store_true",
        help="hold the promises about milliseconds, too; for a machine that does nothing else",
    )


@pytest.fixture
def is_timed(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--timed"))


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    """Makes a site; sections of settings can be given: `make_site(swap={"soak": "1s"})`."""

    def make(**sections: dict[str, Any]) -> Site:
        return Site(tmp_path, **sections)

    return make


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Everything in order, and a place for what is temporary that can be looked into."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return Subject(tmp_path)
