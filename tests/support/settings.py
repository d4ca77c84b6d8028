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
