"""What the proxy knows of a release on trial."""

from typing import Protocol

from attrs import define

from blue_green.files.roots import FileRoots
from blue_green.http.request import Request
from blue_green.proxy.remote import Remote
from blue_green.routing.trial import Trial


class Audience(Protocol):
    """Decides which clients are sent to the release."""

    def admit(self, remote: Remote, request: Request, path: str) -> tuple[bool, bytes]:
        """Whether the client is, and the value of Set-Cookie, or nothing.

        `path` is the path of the site. Raises `ErrorResponse`.
        """


@define(eq=False)
class ServedTrial:
    """Which clients are sent to the release, and what these get."""

    audience: Audience
    trial: Trial
    files: FileRoots | None = None
    """The files that are served to them without the app."""
