import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import hypothesis
import pytest

from tests.faults.summary import Summary
from tests.support.check_context import CheckedSite
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.support.static_site import StaticSite

FAULTS = pytest.StashKey[Summary]()
"""What the fault suite did; see `tests/faults`."""

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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests run in several processes: each tells the one that reports."""
    if FAULTS in session.config.stash and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = attrs.asdict(session.config.stash[FAULTS])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if told := getattr(node, "workeroutput", {}).get("faults"):
        node.config.stash.setdefault(FAULTS, Summary()).add(Summary(**told))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (summary := config.stash.get(FAULTS, None)) is not None:
        terminalreporter.write_sep("=", "faults")
        terminalreporter.write_line(str(summary))


@pytest.fixture
def is_timed(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--timed"))


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., RealSite]:
    """Makes a site; sections of settings can be given: `make_site(swap={"soak": "1s"})`."""

    def make(**sections: dict[str, Any]) -> RealSite:
        return RealSite(tmp_path, **sections)

    return make


@pytest.fixture
def make_static(tmp_path: Path) -> Callable[..., StaticSite]:
    """Makes a site without an app: `make_static(release={"keep": 1})`."""

    def make(**sections: dict[str, Any]) -> StaticSite:
        return StaticSite(tmp_path, **sections)

    return make


@pytest.fixture
def make_sites(tmp_path: Path) -> Callable[..., SeveralSites]:
    """Makes several sites: `make_sites("blog", "api")`, also with sections of the process."""

    def make(*names: str, **sections: dict[str, Any]) -> SeveralSites:
        return SeveralSites(tmp_path, *names, **sections)

    return make


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedSite:
    """Everything in order, and a place for what is temporary that can be looked into."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return CheckedSite(tmp_path)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every user can get to, unlike pytest's own; it belongs to us."""
    path = Path(tempfile.mkdtemp(prefix="blue-green-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
