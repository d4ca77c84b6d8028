"""The commands of releases, for tests that make releases without a site."""

from pathlib import Path

from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.source.release_commands import ReleaseCommands
from blue_green.system.output import Output
from blue_green.system.users import User


def release_commands(owner: User, user: User | None = None, **env: str) -> ReleaseCommands:
    """Commands that run as `user`, or else as the owner, with these environment variables."""
    directory = Path("/nonexistent")
    settings = SiteSettings("blog", directory / "supervisor.toml", directory, AppSettings(env=env))
    return ReleaseCommands(owner, user or owner, settings, Output())
