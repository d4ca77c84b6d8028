"""Requests without a response: what they say about a release, and what they do not."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from attrs import define, field

from blue_green.config.site_settings import SwapSettings
from blue_green.routing import lease as lease_module
from blue_green.routing.client_limits import ClientLimits
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Lease, Outcome, Target
from blue_green.routing.results import Counts, Results
from blue_green.site import unanswered
from blue_green.site.trial_verdict import TrialVerdict
from blue_green.site.unanswered import SILENT, longest_silence, patience_with
from tests.support.gates import a_gate, a_target


@define
class AskedRelease:
    """One whose requests get leases."""

    gate: Gate = field(factory=a_gate)
    target: Target = field(factory=a_target)

    def __attrs_post_init__(self) -> None:
        self.gate.switch([self.target])

    def ask(self, count: int = 1, *, is_stream: bool = False, client: str = "") -> list[Lease]:
        """Requests that wait for a response; without a name, each is that of another client."""
        leases = [self.gate.acquire_now() for _ in range(count)]
        request = SimpleNamespace(may_get_stream=is_stream, sent=0, name_client=lambda: client)
        for lease in leases:
            assert lease is not None
            lease.request = cast(Any, request)
        return cast(list[Lease], leases)

    def answer(self, leases: list[Lease]) -> None:
        for lease in leases:
            lease.begin_response(200)
            lease.end(Outcome.RESPONDED)

    def give_up(self, leases: list[Lease]) -> None:
        for lease in leases:
            lease.end(Outcome.ABORTED)


@define
class AskedReleases:
    """A new release and an old one, on a clock of their own."""

    of_new: AskedRelease = field(factory=AskedRelease)
    of_old: AskedRelease = field(factory=AskedRelease)
    limits: ClientLimits = field(factory=ClientLimits)
    now: float = 1000.0

    def __attrs_post_init__(self) -> None:
        self.new().limits = self.limits

    def new(self) -> Results:
        return self.of_new.target.results

    def old(self) -> Results:
        return self.of_old.target.results

    def new_targets(self) -> list[Target]:
        return [self.of_new.target]

    def old_targets(self) -> list[Target]:
        return [self.of_old.target]

    def counts(self, *, foresees: bool = False) -> tuple[Counts, Counts]:
        both = unanswered.compare(self, self.limits, foresees=foresees)
        return both.new, both.old

    def verdict(self, **settings: Any) -> TrialVerdict:
        swap = SimpleNamespace(settings=SimpleNamespace(swap=SwapSettings(**settings)))
        return TrialVerdict(cast(Any, swap), cast(Any, self), self.limits)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> AskedReleases:
    both = AskedReleases()
    monkeypatch.setattr(lease_module, "time", SimpleNamespace(monotonic=lambda: both.now))
    return both


# --- what counts ---


def test_a_request_that_waits_for_long_counts_as_failed_until_it_is_answered(
    both: AskedReleases,
) -> None:
    waiting = both.of_new.ask(3)
    both.now += 4.9
    assert both.counts()[0] == Counts()
    both.now += 0.2
    assert both.counts()[0] == Counts(3, 3)
    both.of_new.answer(waiting)
    assert both.counts()[0] == Counts(3, 0)


def test_a_client_that_gave_up_after_a_long_wait_counts_as_failed_for_good(
    both: AskedReleases,
) -> None:
    quick, patient = both.of_new.ask(2), both.of_new.ask(3)
    both.now += 0.5
    both.of_new.give_up(quick)
    both.now += 1.5
    both.of_new.give_up(patient)
    assert both.counts()[0] == Counts(3, 3)


def test_requests_may_wait_several_times_as_long_as_those_of_the_live_release(
    both: AskedReleases,
) -> None:
    slow = both.of_old.ask(100)
    both.now += 4
    both.of_old.answer(slow)
    assert 10 < patience_with(both.old()).waiting < 14
    assert patience_with(both.old()).given_up == patience_with(both.old()).waiting
    patient, others = both.of_new.ask(3), both.of_new.ask(3)
    both.counts()  # As each look does, it tells the limits what is long.
    both.now += 9
    both.of_new.give_up(patient)
    assert both.counts()[0] == Counts()
    both.now += 6
    both.of_new.give_up(others)
    assert both.counts()[0] == Counts(3, 3)


def test_uploads_streams_and_begun_responses_are_not_unanswered(both: AskedReleases) -> None:
    [upload], [download] = both.of_new.ask(), both.of_new.ask()
    both.of_new.ask(is_stream=True)
    upload.is_uploading = True
    download.begin_response(200)
    both.now += 60
    assert both.counts()[0] == Counts(1, 0)
    upload.end_upload()
    both.now += 4
    assert both.counts()[0] == Counts(1, 0)
    both.now += 2
    assert both.counts()[0] == Counts(2, 1)


def test_a_client_that_gave_up_its_own_upload_or_its_stream_does_not_count(
    both: AskedReleases,
) -> None:
    [upload], streams = both.of_new.ask(), both.of_new.ask(is_stream=True)
    upload.is_uploading = True
    both.now += 60
    both.of_new.give_up([upload, *streams])
    assert both.counts()[0] == Counts()


def test_requests_that_we_cut_or_break_off_by_a_stop_do_not_count(both: AskedReleases) -> None:
    [cut], [stopped] = both.of_new.ask(), both.of_new.ask()
    both.now += 60
    cut.end(Outcome.CUT)
    both.of_new.target.is_stopping = True
    stopped.end(Outcome.ABORTED)
    assert both.counts()[0] == Counts()


def test_what_the_live_release_answers_as_late_or_not_at_all_counts_for_it(
    both: AskedReleases,
) -> None:
    fast, late, given_up = (both.of_old.ask(count) for count in (100, 3, 2))
    both.of_old.answer(fast)
    both.now += 8
    both.of_old.answer(late)
    both.of_old.give_up(given_up)
    both.of_old.ask(1)
    both.now += 6
    assert both.counts()[1] == Counts(106, 6)


def test_a_late_error_of_the_live_release_counts_once(both: AskedReleases) -> None:
    [lease] = both.of_old.ask()
    both.now += 8
    lease.begin_response(500)
    lease.end(Outcome.RESPONDED)
    assert both.counts()[1] == Counts(1, 1)


# --- the verdict ---


def some_traffic(both: AskedReleases) -> None:
    both.of_old.answer(both.of_old.ask(300))


def test_a_canary_that_hangs_fails(both: AskedReleases) -> None:
    some_traffic(both)
    both.of_new.ask(20)
    verdict = both.verdict()
    assert verdict.failure() == ""
    both.now += 5
    assert verdict.failure().startswith(
        "20 of 20 requests of the canary failed (100%), 20 of them without a response, and "
        "0 of 300 of the live release (0%)\n"
    )


def test_one_page_that_hangs_fails_a_canary_whose_other_pages_are_fine(both: AskedReleases) -> None:
    some_traffic(both)
    verdict = both.verdict()
    for _ in range(40):
        both.of_new.answer(both.of_new.ask(4))
        hanging = both.of_new.ask(1)
        both.now += 2
        both.of_new.give_up(hanging)
    assert "40 of them without a response" in verdict.failure()


def test_a_page_that_hangs_in_both_releases_is_no_evidence(both: AskedReleases) -> None:
    verdict = both.verdict()
    for _ in range(300):
        hanging = []
        for release in (both.of_old, both.of_new):
            release.answer(release.ask(4))
            hanging.append((release, release.ask(1)))
        both.now += 8
        for release, leases in hanging:
            release.give_up(leases)
        assert verdict.failure(is_last=True) == ""


def test_long_polls_of_both_releases_are_no_evidence(both: AskedReleases) -> None:
    """Each tenth request waits for half a minute."""
    verdict = both.verdict()
    polls: list[tuple[AskedRelease, list[Lease]]] = []
    for _ in range(300):
        for release in (both.of_old, both.of_new):
            release.answer(release.ask(9))
            polls.append((release, release.ask(1)))
        both.now += 1
        if len(polls) > 60:
            for release, leases in (polls.pop(0), polls.pop(0)):
                release.answer(leases)
            assert verdict.failure(is_last=True) == ""


def test_a_canary_that_answered_nothing_fails_with_few_requests_when_its_time_is_over(
    both: AskedReleases,
) -> None:
    some_traffic(both)
    verdict = both.verdict()
    both.of_new.ask(4)
    both.now += 6
    assert verdict.failure() == ""
    assert verdict.failure(is_last=True).startswith("4 of 4 requests of the canary failed (100%)")
    both.of_new.answer(both.of_new.ask(1))
    assert verdict.failure(is_last=True) == ""
    assert verdict.missing().startswith("too few requests in its canary for a verdict: 5, and")


def test_one_request_is_too_little_to_see(both: AskedReleases) -> None:
    some_traffic(both)
    both.of_new.ask(1)
    both.now += 6
    assert both.verdict().failure(is_last=True) == ""


@pytest.mark.parametrize("clients", [1, 2, 3])
def test_no_client_alone_decides_by_requests_that_hang(both: AskedReleases, clients: int) -> None:
    some_traffic(both)
    for client in range(clients):
        given_up = both.of_new.ask(2, client=f"203.0.113.{client}")
        both.now += 2
        both.of_new.give_up(given_up)
        both.of_new.ask(30, client=f"203.0.113.{client}")
    both.now += 6
    why = both.verdict().failure(is_last=True)
    assert why.startswith("9 of 9 requests of the canary failed") == (clients == 3), why


# --- the end of a canary or a soak ---


async def test_the_end_waits_for_responses_that_would_decide(
    both: AskedReleases, autojump_clock: trio.testing.MockClock
) -> None:
    some_traffic(both)
    waiting = both.of_new.ask(20)
    both.now += 2
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            await trio.sleep(1)
            both.of_new.answer(waiting)

        nursery.start_soon(answer)
        await both.verdict().until_settled()
    assert 1 <= trio.current_time() - began < 2


async def test_the_end_waits_no_longer_than_requests_may_wait(
    both: AskedReleases, autojump_clock: trio.testing.MockClock
) -> None:
    some_traffic(both)
    both.of_new.ask(20)
    both.now += 2
    began = trio.current_time()
    await both.verdict().until_settled()
    assert trio.current_time() - began == pytest.approx(5)


async def test_the_end_waits_for_nothing_if_nothing_is_due(
    both: AskedReleases, autojump_clock: trio.testing.MockClock
) -> None:
    some_traffic(both)
    both.of_new.answer(both.of_new.ask(20))
    both.of_new.ask(1)
    both.now += 2
    began = trio.current_time()
    await both.verdict().until_settled()
    assert trio.current_time() - began < 0.1


async def test_the_end_waits_until_each_backend_has_answered_a_probe(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target, began = a_target(), trio.current_time()
    target.is_silent = True

    async def answer() -> None:
        await trio.sleep(3)
        target.is_silent = False

    nursery.start_soon(answer)
    await unanswered.until_not_silent([target], 60)
    assert 3 <= trio.current_time() - began < 3.2
    target.is_silent = True
    await unanswered.until_not_silent([target], 60)
    assert trio.current_time() - began > 60


def test_a_busy_candidate_may_be_silent_for_longer_than_the_slowest_response(
    both: AskedReleases,
) -> None:
    assert longest_silence(both.old()) == SILENT
    slow = both.of_old.ask(1)
    some_traffic(both)
    both.now += 20
    both.of_old.answer(slow)
    assert 50 < longest_silence(both.old()) < 70
