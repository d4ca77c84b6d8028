"""A mistake in the settings."""

from attrs import frozen


@frozen
class Problem:
    """One mistake, and which site cannot be used because of it."""

    text: str
    """With the file and the key in front."""
    site: str | None = None
    """The name of one of several sites; None if no site can be used."""
