"""Checkouts, on a machine of a known size without uv."""

from pathlib import Path

import pytest

from blue_green.preflight.init import capacity, python_environment
from blue_green.preflight.init.capacity import Capacity
from tests.support.init_checkout import Fill, put
from tests.support.repository import Repository


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "of_this_machine", lambda: Capacity(2, 4 * 1024**3))
    monkeypatch.setattr(python_environment, "find_uv", lambda: None)


@pytest.fixture
def uv(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_environment, "find_uv", lambda: "/usr/local/bin/uv")


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Makes a checkout with these files; the first ones are committed, the others are not."""

    def fill(tracked: dict[str, str], untracked: dict[str, str] | None = None) -> Path:
        repository = Repository(tmp_path / "app")
        put(repository.path, tracked)
        repository.commit()
        put(repository.path, untracked or {})
        return repository.path

    return fill
