"""What the proxy knows of a site."""

from typing import Protocol

from attrs import define, field

from blue_green.files.roots import FileRoots
from blue_green.http.errors import ErrorPages
from blue_green.proxy.buffer_space import BufferUse
from blue_green.proxy.maintenance import Maintenance
from blue_green.proxy.pool import Pool
from blue_green.proxy.served_trial import ServedTrial
from blue_green.routing.gate import Gate


class SiteLimits(Protocol):
    """The settings of a site that apply to each of its requests."""

    @property
    def response_timeout(self) -> float: ...

    @property
    def max_body(self) -> int: ...

    @property
    def buffer_requests(self) -> int: ...

    @property
    def buffer_responses(self) -> int: ...


@define(eq=False)
class ServedSite:
    """The parts of a site that its requests use.

    A reload replaces `limits`, `pages` and `hsts`, and a switch replaces `files`.
    """

    name: str
    """For the access log; empty where nothing needs the name of the site."""
    gate: Gate
    pool: Pool
    limits: SiteLimits
    pages: ErrorPages
    hsts: bytes = b""
    """The header line with Strict-Transport-Security; empty where it is not sent."""
    files: FileRoots | None = None
    """The files that are served without the app; None without `[files]`."""
    trial: ServedTrial | None = None
    """A release that serves some clients before it is live."""
    maintenance: Maintenance | None = None
    """What applies to its requests while it is in maintenance."""
    buffered: BufferUse = field(factory=BufferUse)
