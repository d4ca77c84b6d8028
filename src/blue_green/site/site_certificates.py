"""What is known of the certificates for the hosts of a site."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.config.settings import SiteSettings

if TYPE_CHECKING:
    from blue_green.site.site import Site

OfSite = Callable[[SiteSettings], Sequence[HostCertificate]]
"""Returns what is known of the certificates for the hosts of a site."""

MAX_SHOWN = 5
"""Hosts that a summary names."""


class SiteCertificates:
    """Reads them from those of the process; there are none without TLS."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self.of_site: OfSite | None = None
        """Set when the site becomes one of the sites."""

    def all(self) -> Sequence[HostCertificate]:
        """One for each host."""
        return self.of_site(self._site.settings) if self.of_site else ()

    def as_dicts(self) -> list[dict[str, Any]]:
        """As in `blue-green status --json`."""
        now = datetime.now(UTC)
        return [certificate.as_dict(now) for certificate in self.all()]

    def summary(self) -> dict[str, Any]:
        """How many there are, when the first one expires, and what is wrong with some of them.

        Short, however many hosts the site has.
        """
        now, certificates = datetime.now(UTC), self.all()
        ends = [one.valid_until for one in certificates if one.valid_until]
        problems = [(one.host, why) for one in certificates if (why := one.concern(now))]
        return {
            "count": len(certificates),
            "coming": sum(one.state(now) == "coming" for one in certificates),
            "valid_until": min(ends).isoformat(timespec="seconds") if ends else None,
            "problems": problems[:MAX_SHOWN],
            "more_problems": max(0, len(problems) - MAX_SHOWN),
        }
