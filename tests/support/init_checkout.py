"""Checkouts for the tests of `init`, and the settings that it writes for them."""

from collections.abc import Callable
from pathlib import Path

from blue_green.config.settings import SiteSettings
from blue_green.preflight.init.write import Written, write
from blue_green.supervisor import settings_file

Fill = Callable[..., Path]


def put(directory: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


def init(checkout: Path, answer: str = "") -> tuple[Written, SiteSettings, str]:
    """What was detected, and the settings that were written: parsed, and as text."""
    file = checkout.parent / "supervisor.toml"
    written = write(file, checkout, lambda _: answer, force=True)
    [site] = settings_file.load(file).sites
    return written, site, file.read_text()
