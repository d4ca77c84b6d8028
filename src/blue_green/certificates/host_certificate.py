"""What is known of the certificate of a host, for people: in status, page, metrics and checks."""

from datetime import datetime
from typing import Literal

from attrs import frozen

Source = Literal["files", "acme", "internal"]


@frozen
class HostCertificate:
    """The certificate of one host at this moment."""

    host: str
    source: Source
    valid_until: datetime | None = None
    """None if there is no certificate yet."""
    renews_at: datetime | None = None
    """When the next one will be asked for; None for files, which somebody else renews."""
    problem: str = ""
    """Why the last attempt to get or load one failed, and what to do."""
    failures: int = 0
    """How many attempts in a row have failed."""
