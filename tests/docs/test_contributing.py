"""What `CONTRIBUTING.md` says of files and programs is true."""

import re
import subprocess
import sys

import pytest

from tests.docs.blocks import TOP

TEXT = (TOP / "CONTRIBUTING.md").read_text()
PROGRAMS = sorted(set(re.findall(r"python -m (tests\.(?!docs)\w+)", TEXT)))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_long_test_has_help_with_the_options_that_are_named(program: str) -> None:
    command = [sys.executable, "-m", program, "--help"]
    shown = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    options = re.findall(rf"-m {re.escape(program)} (--\w+)", TEXT)
    assert [option for option in options if option not in shown] == []
    assert ("--only" in shown) is (program != "tests.soak")


def test_every_path_in_it_exists() -> None:
    paths = re.findall(r"`((?:\.ci|src|tests|docs)/[\w./-]+)`", TEXT)
    assert len(paths) > 5
    assert [path for path in paths if not (TOP / path).exists()] == []


def test_the_checks_that_it_names_are_those_of_the_ci() -> None:
    run = (TOP / ".ci" / "run").read_text()
    for check in ("ruff format", "ruff check", "mypy", "lint-imports"):
        assert check in TEXT
        assert check in run


def test_everything_in_the_wheel_that_a_release_must_contain_is_packaged() -> None:
    """The wheel has the package's own files, and `docs`."""
    included = re.search(
        r"force-include\]\n\"docs\" = \"blue_green/docs\"", (TOP / "pyproject.toml").read_text()
    )
    assert included
    assert (TOP / "docs" / "settings.md").is_file()
    assert (TOP / "src" / "blue_green" / "admin" / "page.html").is_file()
