"""Keeps the certificates of all hosts that an authority issues them for.

Each host has a task, which orders a certificate when there is none or when it should be renewed,
waits longer after each failure, and goes on for ever. A certificate is served until there is
another one, also after it has expired: browsers then say what is wrong.
"""

import logging
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import trio
from attrs import evolve

from blue_green.certificates import kept_certificate, schedule
from blue_green.certificates.host_certificate import HostCertificate, Source
from blue_green.certificates.issuer import IssueFailed, Issuer
from blue_green.certificates.kept_certificate import KeptCertificate
from blue_green.certificates.kept_host import SAVE_AGAIN, KeptHost, now
from blue_green.certificates.pem import BadCertificate
from blue_green.certificates.store import CertificateStore, HostRecord
from blue_green.certificates.table import CertificateTable
from blue_green.system import threads

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

ORDERS_AT_ONCE = 4
QUESTIONS_AT_ONCE = 1
"""When to renew: there may be hundreds of these after a start, and they are not urgent."""
ORDER_TIMEOUT = 150.0
"""Seconds. The issuer should give up before that; its thread is left alone then."""
DISK_TIMEOUT = 60.0
"""Seconds for reading or writing the files of a host."""
MAX_THREADS = 20
"""For the authority, and again for the disk. Some of them may hang for ever."""
CLEAN_EVERY = 24 * 3600.0
"""Seconds between looks for files of hosts that were removed long ago."""
AFTER_ERROR = 60.0
OUR_ERROR = "an error of blue-green itself, which is in its log"


class Keeper:
    """Orders, renews and stores certificates, and puts them into the table."""

    def __init__(
        self,
        issuer: Issuer,
        store: CertificateStore,
        table: CertificateTable,
        source: Source,
        asked: str = "",
    ) -> None:
        """`asked` is a digest of the settings of the authority: after another one, failed orders
        are repeated at once."""
        self._asked = asked
        self._issuer = issuer
        self._store = store
        self._table = table
        self._source = source
        self._hosts: dict[str, KeptHost] = {}
        self._nursery: trio.Nursery | None = None
        self._orders = trio.Semaphore(ORDERS_AT_ONCE)
        self._questions = trio.Semaphore(QUESTIONS_AT_ONCE)
        self._order_threads = trio.CapacityLimiter(MAX_THREADS)
        self._disk_threads = trio.CapacityLimiter(MAX_THREADS)
        self._cannot_write = False

    def begin(self, hosts: Collection[str]) -> None:
        """Load what is stored for these hosts, before the first handshake. Needs no network."""
        for host in hosts:
            kept = self._add(host)
            kept.use_stored(*_load(self._store, host))
            if kept.needs_order():
                kept.await_first()
        stored = sum(kept.certificate is not None for kept in self._hosts.values())
        logger.info("%d of %d hosts have a stored certificate", stored, len(hosts))

    def use(self, hosts: Collection[str]) -> None:
        """Keep certificates for these hosts from now on, and repeat failed orders at once."""
        for host in self._hosts.keys() - set(hosts):
            self._hosts.pop(host).scope.cancel()
            self._table.remove(host)
        for kept in self._hosts.values():
            kept.retry()
        for host in hosts:
            if host not in self._hosts:
                kept = self._add(host)
                kept.await_first()
                if self._nursery is not None:
                    self._nursery.start_soon(self._keep, kept)

    def of_host(self, host: str) -> HostCertificate | None:
        """What is known of the certificate of a host; None if it is none of ours."""
        kept = self._hosts.get(host)
        return evolve(kept.shown(self._source), notice=self._issuer.notice) if kept else None

    async def run(self) -> None:
        """Order and renew certificates, until cancelled."""
        with threads.limited_by(self._disk_threads):
            async with trio.open_nursery() as self._nursery:
                for kept in self._hosts.values():
                    self._nursery.start_soon(self._keep, kept)
                await self._remove_old()

    def _add(self, host: str) -> KeptHost:
        kept = self._hosts[host] = KeptHost(host, self._table.entry(host), self._asked)
        return kept

    async def _keep(self, kept: KeptHost) -> None:
        """The task of a host, until it is removed."""
        with kept.scope:
            while True:
                try:
                    await self._do_what_is_due(kept)
                except Exception:  # It must cost no other host its certificate.
                    logger.exception("an error of blue-green with the certificate of %s", kept.host)
                    await trio.sleep(AFTER_ERROR)

    async def _do_what_is_due(self, kept: KeptHost) -> None:
        if not kept.is_loaded:
            kept.use_stored(*await self._load(kept.host))
            if not kept.needs_order():
                kept.end_wait()
        await kept.until_due()
        if kept.needs_order():
            await self._order(kept)
        if kept.needs_save():
            await self._save(kept)
        if kept.needs_advice():
            await self._ask(kept)

    async def _load(self, host: str) -> tuple[KeptCertificate | None, HostRecord]:
        try:
            with trio.fail_after(DISK_TIMEOUT):
                return await threads.run(_load, self._store, host, abandon_on_cancel=True)
        except trio.TooSlowError:
            logger.error("reading the stored certificate for %s takes too long", host)
            return None, HostRecord()

    async def _order(self, kept: KeptHost) -> None:
        kept.await_first()
        try:
            order = partial(_order, self._issuer, kept.host, kept.record.failures)
            new = await self._ask_authority(self._orders, order)
        except IssueFailed as error:
            kept.fail(str(error), error.retry_after)
        except trio.TooSlowError:
            kept.fail(f"the authority has not issued one within {ORDER_TIMEOUT:g} s")
        except Exception:
            logger.exception("an error of blue-green while it ordered a certificate")
            kept.fail(OUR_ERROR)
        else:
            kept.succeed(new)
        finally:
            kept.end_wait()
        if kept.problem:
            logger.error("%s", kept.failure)
        else:
            until, renews_at = new.valid_until, kept.renews_at
            logger.info(
                "new certificate for %s, valid until %s, to be renewed on %s", kept.host,
                f"{until:%Y-%m-%d %H:%M} UTC", f"{renews_at:%Y-%m-%d %H:%M} UTC",
            )  # fmt: skip

    async def _ask_authority(self, places: trio.Semaphore, question: Callable[[], T]) -> T:
        """Run this in a thread when there is a place; raise `trio.TooSlowError` if it hangs."""
        async with places:
            with trio.fail_after(ORDER_TIMEOUT), threads.limited_by(self._order_threads):
                return await threads.run(question, abandon_on_cancel=True)

    async def _ask(self, kept: KeptHost) -> None:
        """Ask the authority when to renew."""
        assert kept.certificate is not None
        try:
            pem = kept.certificate.pem
            advice = await self._ask_authority(self._questions, partial(self._issuer.advice, pem))
        except (IssueFailed, trio.TooSlowError) as error:
            logger.debug("no advice on when to renew %s: %s", kept.host, error)
            kept.take_advice(kept.record.advised, schedule.ask_again(now(), None))
        else:
            if advice is None:
                kept.never_advised()
            else:
                again = schedule.ask_again(now(), advice.ask_again_at)
                kept.take_advice(advice.renew_at, again)

    async def _save(self, kept: KeptHost) -> None:
        """Write what has changed. It is used from memory if that fails, and written later."""
        try:
            with trio.fail_after(DISK_TIMEOUT):
                if kept.certificate is not None and not kept.is_certificate_saved:
                    await _in_thread(self._store.save_certificate, kept.host, kept.certificate.pem)
                    kept.is_certificate_saved = True
                if not kept.is_record_saved:
                    kept.is_record_saved = True  # It may change meanwhile.
                    await _in_thread(self._store.save_record, kept.host, kept.record)
        except (OSError, trio.TooSlowError) as error:
            kept.is_record_saved = False
            kept.save_at = trio.current_time() + SAVE_AGAIN
            if not self._cannot_write:
                why = error.strerror if isinstance(error, OSError) else "it takes too long"
                logger.error(
                    "cannot write the certificate for %s to the state directory: %s; it is used "
                    "from memory, and written as soon as that is possible", kept.host, why,
                )  # fmt: skip
            self._cannot_write = True
        else:
            if self._cannot_write:
                logger.info("can write certificates again")
            self._cannot_write = False

    async def _remove_old(self) -> None:
        """Remove the files of hosts that were removed long ago, now and then."""
        while True:
            try:
                with trio.move_on_after(DISK_TIMEOUT):
                    await _in_thread(self._store.remove_old, frozenset(self._hosts))
            except OSError as error:
                logger.error("cannot look for certificates of removed hosts: %s", error)
            await trio.sleep(CLEAN_EVERY)


async def _in_thread(function: Callable[[Unpack[Ts]], None], *arguments: *Ts) -> None:
    await threads.run(function, *arguments, abandon_on_cancel=True)


def _load(store: CertificateStore, host: str) -> tuple[KeptCertificate | None, HostRecord]:
    try:
        return store.load(host)
    except Exception:  # It must not keep the process from starting.
        logger.exception("an error of blue-green while it read a stored certificate")
        return None, HostRecord()


def _order(issuer: Issuer, host: str, attempt: int) -> KeptCertificate:
    """Order a certificate, and read it; raise `IssueFailed`."""
    try:
        return kept_certificate.read(issuer.issue(host, attempt), host, Path("the new certificate"))
    except BadCertificate as error:
        raise IssueFailed(f"the authority issued one that cannot be used: {error}") from None
