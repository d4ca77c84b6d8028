"""What is known of the certificate of a host, for people: in status, page, metrics and checks."""

from datetime import datetime, timedelta
from typing import Literal

from attrs import frozen

from blue_green.system.printable import counted

Source = Literal["files", "acme", "internal"]
CertificateState = Literal["valid", "coming", "failing", "expiring", "expired"]
"""`coming`: the first one is on its way. `failing`: there is none, or the next one was refused."""

EXPIRES_SOON = timedelta(days=14)
EXPIRES_NOW = timedelta(days=3)
"""How long before its end a certificate that nobody has renewed is reported, and reported again."""
SOON_PART, NOW_PART = 0.2, 0.05
"""The same for certificates with a short life, as parts of it."""


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
    valid_from: datetime | None = None
    notice: str = ""
    """What people have to do about the authority, although nothing has failed."""

    def state(self, now: datetime) -> CertificateState:
        if self.valid_until is None:
            is_coming = not self.problem and self.source != "files"
            return "coming" if is_coming else "failing"
        if self.valid_until <= now:
            return "expired"
        if self.problem:
            return "failing"
        return "expiring" if self.expires_within(EXPIRES_SOON, SOON_PART, now) else "valid"

    def expires_within(self, time: timedelta, part: float, now: datetime) -> bool:
        """Whether it expires within this time, or within this part of its life if that is less."""
        if self.valid_until is None:
            return False
        if self.valid_from is not None:
            time = min(time, (self.valid_until - self.valid_from) * part)
        return self.valid_until - now <= time

    def concern(self, now: datetime) -> str:
        """What is wrong with it or needs attention, and what to do; "" if nothing does."""
        state = self.state(now)
        if state in ("valid", "coming"):
            return self.notice
        if self.valid_until is None:
            return f"no certificate{self._attempts}: {self.problem or UNUSABLE}"
        day = self.valid_until.date()
        if state == "expired":
            return f"browsers refuse the certificate, which expired on {day}: {self._how_to_renew}"
        if state == "expiring":
            return f"the certificate expires on {day}: {self._how_to_renew}"
        if self.source == "files":
            return f"valid until {day}, but the new files cannot be used: {self.problem}"
        return f"valid until {day}, but no new certificate{self._attempts}: {self.problem}"

    @property
    def _attempts(self) -> str:
        return f" after {counted(self.failures, 'attempt')}" if self.failures > 1 else ""

    @property
    def _how_to_renew(self) -> str:
        if self.problem:
            return self.problem
        if self.source == "files":
            return "renew the files; if certbot or lego does that, see why it has not"
        return "blue-green should have renewed it: see its log"

    def as_dict(self, now: datetime) -> dict[str, object]:
        """As in `blue-green status --json`."""
        return {
            "host": self.host,
            "source": self.source,
            "state": self.state(now),
            "valid_until": _iso(self.valid_until),
            "renews_at": _iso(self.renews_at),
            "failures": self.failures,
            "problem": self.concern(now),
        }


UNUSABLE = "browsers refuse the one in the files; the log says why"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
