"""Reports of certificates that need attention: to the owner's command, and in the log.

They are looked at every few seconds, because an expiry is nothing that happens: no part of the
process could announce it. What only one look shows is not reported: files are renewed one after the
other, and are not valid in between. Nor is a single failed renewal, since another attempt follows
long before the end. All hosts with the same news are one report, and further ones wait a while for
others: if the DNS of 500 hosts fails, that is one event, or a few.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Literal

import trio

from blue_green.certificates.host_certificate import (
    EXPIRES_NOW,
    EXPIRES_SOON,
    NOW_PART,
    SOON_PART,
    HostCertificate,
)
from blue_green.site.notify import CertificateOutcome
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)

LOOK_EVERY = 5.0
REPORT_EVERY = 600.0
"""Seconds between two reports with the same outcome."""

Report = Callable[[CertificateOutcome, str, Sequence[HostCertificate], datetime], None]
"""As `Notify.report_certificates`."""

News = Literal["valid", "failing", "expiring", "expiring now", "expired"]


class CertificateReports:
    """Watches the certificates of a site."""

    def __init__(
        self, certificates: Callable[[], Sequence[HostCertificate]], report: Report
    ) -> None:
        self._certificates = certificates
        self._report = report
        self._seen: dict[str, News | None] = {}
        """What the last look has shown of each host."""
        self._reported: dict[str, News] = {}
        """What was reported last of each host; nothing is if its certificate was always valid."""
        self._report_times: dict[News, float] = {}

    async def run(self) -> None:
        """Look at them, until cancelled."""
        while True:
            await trio.sleep(LOOK_EVERY)
            self.look(datetime.now(UTC), trio.current_time())

    def look(self, now: datetime, clock: float) -> None:
        """Report what this look and the last one have shown, if it was not reported yet."""
        before, self._seen = self._seen, {}
        found = defaultdict[News, list[HostCertificate]](list)
        for one in self._certificates():
            news = self._seen[one.host] = _news(one, now)
            is_steady = news == before.get(one.host)
            if news and is_steady and news != self._reported.get(one.host, "valid"):
                found[news].append(one)
        for news, certificates in found.items():
            if clock - self._report_times.get(news, -inf) >= REPORT_EVERY:
                self._report_times[news] = clock
                self._reported |= dict.fromkeys([one.host for one in certificates], news)
                self._send(news, certificates, now)
        self._reported = {host: news for host, news in self._reported.items() if host in self._seen}

    def _send(self, news: News, certificates: Sequence[HostCertificate], now: datetime) -> None:
        first, *others = certificates
        more = f" (and {counted(len(others), 'more host')})" if others else ""
        about = first.concern(now)
        if news == "valid" and first.valid_until:
            about = f"the certificate is valid until {first.valid_until.date()}"
        reason = f"{first.host}{more}: {about}"
        if news != "failing":  # Each failed attempt is logged where it is made.
            logger.log(logging.INFO if news == "valid" else logging.WARNING, "%s", reason)
        outcome: CertificateOutcome = "expiring" if news == "expiring now" else news
        self._report(outcome, reason, certificates, now)


def _news(one: HostCertificate, now: datetime) -> News | None:
    """What is worth a report; None if that is not decided yet."""
    state = one.state(now)
    if state == "expired":
        return "expired"
    if one.expires_within(EXPIRES_NOW, NOW_PART, now):
        return "expiring now"
    if one.expires_within(EXPIRES_SOON, SOON_PART, now):
        return "expiring"
    if state == "failing":
        is_first = one.valid_until is None or one.source == "files"
        return "failing" if is_first or one.failures > 1 else None
    return "valid" if state == "valid" else None
