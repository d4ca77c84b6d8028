"""A host whose certificate comes from an authority: what there is, and what is due."""

import random
from datetime import UTC, datetime, timedelta

import attrs
import trio
from attrs import define, field

from blue_green.certificates import schedule
from blue_green.certificates.host_certificate import HostCertificate, Source
from blue_green.certificates.kept_certificate import KeptCertificate
from blue_green.certificates.store import HostRecord
from blue_green.certificates.table import TableEntry
from blue_green.system.printable import counted

LONGEST_REASON = 1000
"""Characters of a reason from the authority that are remembered."""
LOOK_AGAIN = 60.0
"""Seconds after which the clock is looked at again, which somebody may have set."""
SOONEST = 0.1
SAVE_AGAIN = 10.0
"""Seconds until the next attempt to write files that could not be written."""
AT_ONCE = "blue-green reload tries at once"


def now() -> datetime:
    return datetime.now(UTC)


@define(eq=False)
class KeptHost:
    """The state of one host; `Keeper` has a task for each."""

    host: str
    entry: TableEntry
    asked: str = ""
    """The digest of the settings with which orders are made."""
    certificate: KeptCertificate | None = None
    record: HostRecord = field(factory=HostRecord)
    is_loaded: bool = False
    """Whether the files of earlier runs were read."""
    is_certificate_saved: bool = True
    is_record_saved: bool = True
    save_at: float = 0.0
    """When to try again to write the files (trio.current_time())."""
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    """Of its task."""
    _changed: trio.Event = field(factory=trio.Event)

    def use_stored(self, certificate: KeptCertificate | None, record: HostRecord) -> None:
        """Begin with what was stored."""
        self.is_loaded = True
        if record.failures and record.asked != self.asked:
            # Somebody may have corrected what was wrong.
            record = HostRecord(record.certificate)
        self.record = record
        self._put(certificate)

    def await_first(self) -> None:
        """Let handshakes wait, if there is no certificate yet."""
        if self.certificate is None and self.entry.coming is None:
            self.entry.coming = trio.Event()

    def end_wait(self) -> None:
        """Let handshakes go on, with a certificate or without."""
        if self.entry.coming is not None:
            self.entry.coming.set()
            self.entry.coming = None

    @property
    def renews_at(self) -> datetime | None:
        """When the current certificate should be renewed; None if there is none."""
        if self.certificate is None:
            return None
        valid_from, until = self.certificate.valid_from, self.certificate.valid_until
        return schedule.renewal(valid_from, until, self.certificate.spread, self.record.advised)

    @property
    def attempt_at(self) -> datetime | None:
        """When a certificate will be ordered; None if at once."""
        moments = [at for at in (self.renews_at, self.record.next_attempt) if at is not None]
        return max(moments, default=None)

    def needs_order(self) -> bool:
        """Whether it is time to order a certificate."""
        renews_at, next_attempt = self.renews_at, self.record.next_attempt
        if renews_at is not None and now() < renews_at:
            return False
        return next_attempt is None or schedule.is_due(next_attempt, now())

    def needs_advice(self) -> bool:
        """Whether it is time to ask the authority when to renew."""
        if self.certificate is None or not self.record.gives_advice:
            return False
        at = self.record.ask_again_at
        return at is None or schedule.is_due(at, now())

    def needs_save(self) -> bool:
        is_saved = self.is_certificate_saved and self.is_record_saved
        return not is_saved and trio.current_time() >= self.save_at

    async def until_due(self) -> None:
        """Wait until there is something to do."""
        while not (self.needs_order() or self.needs_advice() or self.needs_save()):
            self._changed = trio.Event()
            with trio.move_on_after(self._pause()):
                await self._changed.wait()

    def _pause(self) -> float:
        moments = [self.attempt_at]
        if self.certificate is not None and self.record.gives_advice:
            moments.append(self.record.ask_again_at)
        waits = [(at - now()).total_seconds() for at in moments if at is not None]
        if not (self.is_certificate_saved and self.is_record_saved):
            waits.append(self.save_at - trio.current_time())
        return max(SOONEST, min(LOOK_AGAIN, *waits, LOOK_AGAIN))

    def succeed(self, certificate: KeptCertificate) -> None:
        """Use a new certificate."""
        self.record = HostRecord(certificate.digest)
        self._put(certificate)
        self.is_certificate_saved = self.is_record_saved = False
        self.save_at = 0.0
        if self.needs_order():  # Its life is over, or nearly: it must not be renewed all the time.
            until = _date(certificate.valid_until)
            self.fail(f"the new one ends {until}: is the clock of this machine right?")

    def fail(self, why: str, allowed_at: datetime | None = None) -> None:
        """Note that an order has failed."""
        failures = self.record.failures + 1
        life = (
            self.certificate.valid_until - self.certificate.valid_from if self.certificate else None
        )
        spread = random.random()
        self.record = attrs.evolve(
            self.record,
            failures=failures,
            why=why[:LONGEST_REASON],
            asked=self.asked,
            next_attempt=schedule.next_attempt(
                now(), failures, spread, allowed_at=allowed_at, life=life
            ),
            allowed_at=schedule.allowed(now(), allowed_at),
        )
        self.is_record_saved = False

    def retry(self) -> None:
        """Let a failed order be repeated as soon as the authority allows it."""
        if self.record.failures:
            at = self.record.allowed_at or now()
            self.record = attrs.evolve(self.record, next_attempt=at)
            self._changed.set()

    def take_advice(self, advised: datetime | None, ask_again_at: datetime) -> None:
        """Note what the authority says about the renewal."""
        self.record = attrs.evolve(self.record, advised=advised, ask_again_at=ask_again_at)
        self.is_record_saved = False

    def never_advised(self) -> None:
        """Note that the authority gives no advice."""
        self.record = attrs.evolve(self.record, gives_advice=False)
        self.is_record_saved = False

    @property
    def problem(self) -> str:
        """Why the last order failed, and when the next attempt is; empty if it did not fail."""
        return f"{self.record.why.rstrip('. ')}; {self._outlook()}" if self.record.failures else ""

    @property
    def failure(self) -> str:
        """The line for the log about it."""
        if self.certificate is None:
            return f"no certificate for {self.host}: {self.problem}"
        until = _date(self.certificate.valid_until)
        if self.certificate.valid_until <= now():
            return f"browsers refuse {self.host}, its certificate expired {until}: {self.problem}"
        return f"no new certificate for {self.host}, valid until {until}: {self.problem}"

    def _outlook(self) -> str:
        """When the next attempt will be."""
        record = self.record
        wait = (record.next_attempt or now()) - now()
        if record.allowed_at is not None and record.allowed_at > now():
            return f"the authority allows the next attempt {_in_words(wait)}"
        return f"next attempt {_in_words(wait)}; {AT_ONCE}"

    def shown(self, source: Source) -> HostCertificate:
        """What people see of it."""
        certificate = self.certificate
        return HostCertificate(
            self.host,
            source,
            valid_until=certificate.valid_until if certificate else None,
            renews_at=self.attempt_at,
            problem=self.problem,
            failures=max(self.record.failures, 0),
            valid_from=certificate.valid_from if certificate else None,
        )

    def _put(self, certificate: KeptCertificate | None) -> None:
        self.certificate = certificate
        self.entry.loaded = certificate.loaded if certificate else None


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _in_words(wait: timedelta) -> str:
    minutes = round(wait / timedelta(minutes=1))
    if minutes < 1:
        return "in less than a minute"
    if minutes < 90:
        return f"in {counted(minutes, 'minute')}"
    return f"in {counted(round(minutes / 60), 'hour')}"
