"""The wheel of this source, and environments into which it is installed."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


def build(source: Path, kind: str, directory: Path) -> Path:
    """Build a `wheel` or an `sdist`, without the network."""
    pytest.importorskip("hatchling", reason="needs hatchling, which builds the wheel")
    words = ["-m", "hatchling", "build", "-t", kind, "-d", str(directory)]
    subprocess.run([sys.executable, *words], cwd=source, check=True, capture_output=True)
    [built] = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def newer_source(directory: Path, version: str) -> Path:
    """A copy of the source with another version."""
    copy = directory / "newer"
    for name in ("src", "docs", "deploy"):
        shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, copy)
    (copy / "src/blue_green/__init__.py").write_text(f'__version__ = "{version}"\n')
    return copy


def environment(directory: Path) -> Path:
    """A new environment without packages, which finds our dependencies; its `bin`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    [packages] = directory.glob("lib/python3*/site-packages")
    # Files like this one that are in the directory named here are not read: so the source itself,
    # which is installed in our environment in that way, is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return directory / "bin"


def install(wheel: Path, programs: Path) -> None:
    """Install the wheel into the environment of these programs, or upgrade it there."""
    words = ["-m", "pip", "--python", str(programs / "python"), "install", "-q", "--no-deps"]
    offline = ["--no-index", "--force-reinstall", "--disable-pip-version-check"]
    subprocess.run([sys.executable, *words, *offline, str(wheel)], check=True)
