"""The keeper: orders, renews, stores, and goes on whatever the authority and the disk do."""

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from blue_green.certificates import keeper as keeper_module
from blue_green.certificates import kept_host, schedule
from blue_green.certificates.issuer import IssueFailed, RenewalAdvice
from blue_green.certificates.keeper import Keeper
from blue_green.certificates.pem import Loaded
from blue_green.certificates.store import CertificateStore, HostRecord
from blue_green.certificates.table import CertificateTable
from tests.support.fake_issuer import DAY, FakeIssuer, make_pem
from tests.waiting import until

A, B = "a.example", "b.example"
SECOND = timedelta(seconds=1)


class Kept:
    """A keeper with all that it needs; a new one on the same directory is a restart."""

    def __init__(self, directory: Path, issuer: FakeIssuer | None = None, asked: str = "") -> None:
        self.issuer = issuer or FakeIssuer()
        self.table = CertificateTable()
        self.store = CertificateStore(directory / "certificates" / "authority")
        self.keeper = Keeper(self.issuer, self.store, self.table, "acme", asked)

    @asynccontextmanager
    async def running(self, *hosts: str) -> AsyncIterator[None]:
        self.keeper.begin(hosts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.run)
            yield
            nursery.cancel_scope.cancel()

    def loaded(self, host: str) -> Loaded | None:
        entry = self.table.find(host)
        return entry.loaded if entry else None

    async def until_loaded(self, *hosts: str) -> None:
        await until(f"certificates for {hosts}", lambda: all(map(self.loaded, hosts)))

    def failures(self, host: str) -> int:
        known = self.keeper.of_host(host)
        return known.failures if known else -1

    def problem(self, host: str) -> str:
        known = self.keeper.of_host(host)
        return known.problem if known else "unknown"

    async def until_failed(self, host: str, times: int = 1) -> None:
        await until(f"{host} has failed", lambda: self.failures(host) >= times)

    async def until_saved(self, host: str, record: Callable[[HostRecord], bool]) -> None:
        await until(f"{host} is saved", lambda: record(self.store.load(host)[1]))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed attempts and writes are repeated soon."""
    monkeypatch.setattr(schedule, "FIRST_WAIT", 0.05 * SECOND)
    monkeypatch.setattr(schedule, "LONGEST_WAIT", 0.2 * SECOND)
    monkeypatch.setattr(kept_host, "SOONEST", 0.01)
    monkeypatch.setattr(keeper_module, "SAVE_AGAIN", 0.1)


def failing(why: str = "no DNS", *, hosts: Collection[str] = (A,)) -> Callable[[str], None]:
    def answer(host: str) -> None:
        if host in hosts:
            raise IssueFailed(why)

    return answer


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Set at the end of the test, so that threads that wait for it end."""
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event, *hosts: str) -> Callable[[str], None]:
    def answer(host: str) -> None:
        if host in hosts:
            event.wait()

    return answer


async def test_a_missing_certificate_is_ordered_used_and_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = Kept(tmp_path)
    async with kept.running(A, B):
        await kept.until_loaded(A, B)
        await until("stored", lambda: kept.store.load(A)[0] and kept.store.load(B)[0])
        known = kept.keeper.of_host(A)
    assert known is not None
    assert (known.host, known.source, known.problem, known.failures) == (A, "acme", "", 0)
    assert known.valid_until is not None
    assert known.renews_at is not None
    assert 24 * DAY < known.valid_until - known.renews_at < 37 * DAY
    assert f"new certificate for {A}, valid until" in caplog.text


async def test_a_stored_certificate_is_there_before_the_first_handshake(tmp_path: Path) -> None:
    first = Kept(tmp_path)
    async with first.running(A):
        await first.until_loaded(A)
        await until("stored", lambda: first.store.load(A)[0])
    again = Kept(tmp_path)
    again.keeper.begin([A])
    assert again.loaded(A)
    assert again.issuer.orders == []


async def test_hundreds_of_stored_certificates_are_loaded_in_little_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    hosts = [f"{number}.example" for number in range(100)]
    for host in hosts:
        kept.store.save_certificate(host, make_pem(host))
    before = time.thread_time()
    kept.keeper.begin(hosts)
    assert time.thread_time() - before < 1
    assert all(map(kept.loaded, hosts))


async def test_an_expired_certificate_is_served_until_there_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A handshake does not wait for the new one: browsers can say what is wrong."""
    kept = Kept(tmp_path, FakeIssuer(answer=failing()))
    kept.store.save_certificate(A, make_pem(A, DAY, age=3 * DAY))
    async with kept.running(A):
        await kept.until_failed(A)
        assert kept.loaded(A)
        assert kept.table.entry(A).coming is None
    assert f"browsers refuse {A}, its certificate expired 20" in caplog.text
    assert ": no DNS; next attempt in 1 minute; blue-green reload tries at once" in caplog.text


async def test_handshakes_wait_for_the_first_certificate_only_while_it_is_on_its_way(
    tmp_path: Path, hang: threading.Event
) -> None:
    def answer(host: str) -> None:
        hang.wait()
        raise IssueFailed("no DNS")

    kept = Kept(tmp_path, FakeIssuer(answer=answer))
    async with kept.running(A):
        entry = kept.table.entry(A)
        assert entry.coming is not None  # Before anything was ordered.
        coming = entry.coming
        await until("ordered", lambda: kept.issuer.orders)
        assert not coming.is_set()
        hang.set()
        with trio.fail_after(20):
            await coming.wait()
        assert entry.loaded is None
        assert entry.coming is None


async def test_a_failure_is_one_log_line_that_says_why_and_what_happens_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(tmp_path, FakeIssuer(answer=failing("its DNS has no address. Check it.")))
    async with kept.running(A):
        await kept.until_failed(A)
        await kept.until_saved(A, lambda record: record.failures == 1)
    assert caplog.messages == [
        f"no certificate for {A}: its DNS has no address. Check it; "
        "next attempt in 1 minute; blue-green reload tries at once"
    ]


async def test_a_host_that_fails_does_not_delay_the_others(tmp_path: Path) -> None:
    kept = Kept(tmp_path, FakeIssuer(answer=failing()))
    async with kept.running(A, B):
        await kept.until_loaded(B)
        await kept.until_failed(A)
        assert kept.problem(B) == ""


@pytest.mark.usefixtures("quick")
async def test_failed_orders_are_repeated_with_the_number_of_the_attempt(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    kept = Kept(tmp_path, issuer)

    def answer(host: str) -> None:
        if len(issuer.orders) < 4:
            raise IssueFailed("not yet")

    issuer.answer = answer
    async with kept.running(A):
        await kept.until_loaded(A)
        assert issuer.orders == [(A, 0), (A, 1), (A, 2), (A, 3)]
        assert kept.problem(A) == ""


async def test_failures_are_remembered_over_a_restart(tmp_path: Path) -> None:
    first = Kept(tmp_path, FakeIssuer(answer=failing()))
    async with first.running(A):
        await first.until_failed(A)
        await first.until_saved(A, lambda record: record.failures == 1)
    again = Kept(tmp_path, FakeIssuer(answer=failing()))
    async with again.running(A, B):
        await again.until_loaded(B)
        assert again.issuer.orders == [(B, 0)]
        assert "no DNS; next attempt in 1 minute" in again.problem(A)
        assert again.table.entry(A).coming is None


async def test_failed_orders_are_repeated_at_once_after_a_restart_with_other_settings(
    tmp_path: Path,
) -> None:
    first = Kept(tmp_path, FakeIssuer(answer=failing()), asked="with a wrong root")
    async with first.running(A):
        await first.until_saved(A, lambda record: record.failures == 1)
    again = Kept(tmp_path, asked="with the right one")
    async with again.running(A):
        await again.until_loaded(A)
        assert again.issuer.orders == [(A, 0)]


async def test_a_reload_repeats_failed_orders_at_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path, FakeIssuer(answer=failing()))
    async with kept.running(A):
        await kept.until_failed(A)
        kept.issuer.answer = FakeIssuer().answer
        kept.keeper.use([A])
        await kept.until_loaded(A)


async def test_a_reload_does_not_repeat_an_order_that_the_authority_forbids(tmp_path: Path) -> None:
    def answer(host: str) -> None:
        if host == A:
            raise IssueFailed("too many certificates", datetime.now(UTC) + timedelta(hours=5))

    kept = Kept(tmp_path, FakeIssuer(answer=answer))
    async with kept.running(A):
        await kept.until_failed(A)
        kept.keeper.use([A, B])
        await kept.until_loaded(B)
        assert kept.issuer.orders == [(A, 0), (B, 0)]
        assert kept.problem(A).endswith("the authority allows the next attempt in 5 hours")


async def test_hosts_are_added_and_removed_by_a_reload(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    async with kept.running(A):
        await kept.until_loaded(A)
        kept.keeper.use([B])
        assert kept.table.find(A) is None
        assert kept.keeper.of_host(A) is None
        await kept.until_loaded(B)


async def test_a_host_that_comes_back_has_its_stored_certificate(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    async with kept.running(A):
        await kept.until_loaded(A)
        await until("stored", lambda: kept.store.load(A)[0])
        kept.keeper.use([])
        kept.keeper.use([A])
        await kept.until_loaded(A)
        assert kept.issuer.orders == [(A, 0)]
        assert kept.table.entry(A).coming is None


async def test_a_host_that_is_removed_during_its_order_is_forgotten(
    tmp_path: Path, hang: threading.Event
) -> None:
    kept = Kept(tmp_path, FakeIssuer(answer=hanging(hang, A)))
    async with kept.running(A):
        await until("ordered", lambda: kept.issuer.orders)
        coming = kept.table.entry(A).coming
        assert coming is not None
        kept.keeper.use([B])
        assert coming.is_set()
        await kept.until_loaded(B)
        hang.set()
        assert kept.table.find(A) is None


@pytest.mark.usefixtures("quick")
async def test_certificates_are_renewed_before_they_end(tmp_path: Path) -> None:
    kept = Kept(tmp_path, FakeIssuer(life=2 * SECOND))
    async with kept.running(A):
        await kept.until_loaded(A)
        ends = []
        for _ in range(2):
            before = kept.loaded(A)
            assert before is not None
            await until("renewed", lambda before=before: kept.loaded(A) is not before)
            ends.append(before.valid_until)
        assert len(set(ends)) == 2


async def test_a_certificate_that_is_over_already_is_used_and_not_ordered_all_the_time(
    tmp_path: Path,
) -> None:
    """As when the clock of this machine is wrong."""
    kept = Kept(tmp_path, FakeIssuer(answer=lambda host: make_pem(host, DAY, age=2 * DAY)))
    async with kept.running(A):
        await kept.until_loaded(A)
        await kept.until_saved(A, lambda record: record.failures == 1)
        assert kept.issuer.orders == [(A, 0)]
        assert "is the clock of this machine right?" in kept.problem(A)


@pytest.mark.parametrize("pem", ["", "nonsense", make_pem(B)])
async def test_what_cannot_be_used_is_not_put_into_the_table(tmp_path: Path, pem: str) -> None:
    kept = Kept(tmp_path, FakeIssuer(answer=lambda host: pem or " "))
    async with kept.running(A):
        await kept.until_failed(A)
        assert kept.loaded(A) is None
        assert "the authority issued one that cannot be used: " in kept.problem(A)


async def test_an_error_of_ours_costs_one_host_an_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(host: str) -> None:
        if host == A:
            raise ZeroDivisionError

    kept = Kept(tmp_path, FakeIssuer(answer=answer))
    async with kept.running(A, B):
        await kept.until_loaded(B)
        await kept.until_failed(A)
    assert "ZeroDivisionError" in caplog.text


async def test_at_most_four_orders_run_at_the_same_time(tmp_path: Path) -> None:
    barrier = threading.Barrier(4, timeout=20)

    def answer(host: str) -> None:
        barrier.wait()

    kept = Kept(tmp_path, FakeIssuer(answer=answer))
    hosts = [f"{number}.example" for number in range(12)]
    async with kept.running(*hosts):
        await kept.until_loaded(*hosts)
    assert kept.issuer.most_at_once == 4


async def test_orders_that_hang_for_ever_do_not_stop_the_others_nor_the_service(
    tmp_path: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "ORDER_TIMEOUT", 0.5)
    stuck = [f"{number}.example" for number in range(4)]
    kept = Kept(tmp_path, FakeIssuer(answer=hanging(hang, *stuck)))
    with trio.fail_after(20):
        async with kept.running(*stuck, B):
            await kept.until_loaded(B)
            await kept.until_failed(stuck[0])
            assert "the authority has not issued one within 0.5 s" in kept.problem(stuck[0])


async def test_the_authority_says_when_to_renew(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    advice = RenewalAdvice(now + 10 * DAY, now + timedelta(hours=6))
    kept = Kept(tmp_path, FakeIssuer(advised=lambda: advice))
    async with kept.running(A):
        await kept.until_saved(A, lambda record: record.advised == advice.renew_at)
        known = kept.keeper.of_host(A)
        assert known is not None
        assert known.renews_at == advice.renew_at
    again = Kept(tmp_path)
    async with again.running(A, B):
        await again.until_loaded(B)
        known = again.keeper.of_host(A)
        assert known is not None
        assert known.renews_at == advice.renew_at
        await again.until_saved(B, lambda record: not record.gives_advice)
    assert again.issuer.asked == 1  # For the other host.


async def test_orders_do_not_wait_for_questions_to_the_authority(
    tmp_path: Path, hang: threading.Event
) -> None:
    def advised() -> None:
        hang.wait()

    stored = [f"{number}.example" for number in range(10)]
    kept = Kept(tmp_path, FakeIssuer(advised=advised))
    for host in stored:
        kept.store.save_certificate(host, make_pem(host))
    async with kept.running(*stored):
        await until("it is asked", lambda: kept.issuer.asked)
        kept.keeper.use([*stored, A])
        await kept.until_loaded(A)
        assert kept.issuer.asked == 1


async def test_an_authority_that_cannot_give_advice_now_is_asked_later(tmp_path: Path) -> None:
    def advised() -> None:
        raise IssueFailed("it is down")

    kept = Kept(tmp_path, FakeIssuer(advised=advised))
    async with kept.running(A):
        await kept.until_saved(A, lambda record: record.ask_again_at is not None)
        assert kept.problem(A) == ""
        assert kept.issuer.asked == 1


@pytest.mark.usefixtures("quick")
async def test_a_certificate_that_cannot_be_written_is_used_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = Kept(tmp_path)
    write = kept.store.save_certificate

    def fail(host: str, pem: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.store, "save_certificate", fail)
    async with kept.running(A):
        await kept.until_loaded(A)
        await until("logged", lambda: "No space left on device; it is used from" in caplog.text)
        monkeypatch.setattr(kept.store, "save_certificate", write)
        await until("stored", lambda: kept.store.load(A)[0])
        await until("logged", lambda: "can write certificates again" in caplog.text)
    assert kept.issuer.orders == [(A, 0)]
    assert caplog.text.count("No space left on device") == 1


async def test_the_clock_may_be_set_back_by_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was wrong when the order failed, for example before the first contact with NTP."""
    kept = Kept(tmp_path)
    at = datetime.now(UTC) + 3000 * DAY
    kept.store.save_record(A, HostRecord("", 5, "no DNS", at, at))
    async with kept.running(A):
        await kept.until_loaded(A)


async def test_nothing_is_done_while_nothing_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        return datetime.now(UTC)

    kept = Kept(tmp_path)
    async with kept.running(A):
        await kept.until_saved(A, lambda record: not record.gives_advice)
        monkeypatch.setattr(kept_host, "now", now)
        await trio.sleep(0.3)
        assert looks < 5
