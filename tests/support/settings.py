"""Write a settings file, and read it as the supervisor does."""

from pathlib import Path

import pytest

from blue_green.config.error import ConfigError
from blue_green.config.settings import Settings
from blue_green.supervisor import settings_file

MINIMAL = '[app]\ncommand = ["serve", "{port}"]\nports = [3000, 3001]\n'
TLS = '[proxy.tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'


def load(file: Path, more: str = "", start: str = MINIMAL) -> Settings:
    file.write_text(start + more)
    return settings_file.load(file)


def problems(file: Path, more: str = "", start: str = MINIMAL) -> list[str]:
    """The errors in these settings, without the file's name in front."""
    with pytest.raises(ConfigError) as caught:
        load(file, more, start)
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


def site(ports: int, host: str = "", before: str = "", after: str = "") -> str:
    """A site's file, with two ports from this one on. Keys before and after the `[app]` section."""
    hosts = f'hosts = ["{host}"]\n' if host else ""
    app = f'[app]\ncommand = ["serve"]\nports = [{ports}, {ports + 1}]\n'
    return f"{hosts}{before}\n{app}{after}\n"


def write_sites(file: Path, main: str = "", **sites: str) -> None:
    """Write a settings file that includes `sites/NAME.toml` for each of these."""
    directory = file.parent / "sites"
    directory.mkdir(exist_ok=True)
    for name, text in sites.items():
        (directory / f"{name}.toml").write_text(text)
    file.write_text(f'include = ["sites/*.toml"]\n{main}')


def problems_of_sites(file: Path, main: str = "", **sites: str) -> list[str]:
    """The errors in these files, each without their directory in front."""
    write_sites(file, main, **sites)
    with pytest.raises(ConfigError) as caught:
        settings_file.load(file)
    return [problem.replace(f"{file.parent}/", "") for problem in caught.value.problems]
