"""The recent results of a release."""

from blue_green.routing.recent_results import RecentResults, Window
from blue_green.routing.results import Counts, Results


def serve(results: Results, requests: int, failed: int = 0) -> None:
    for number in range(requests):
        results.add(500 if number < failed else 200, 0.01)


def test_all_results_are_recent_at_first() -> None:
    results = Results()
    window = Window(results, 60, 10)
    serve(results, 5)
    assert window.get().counts == Counts(5)


def test_old_results_leave_the_window_once_it_has_enough_time_and_requests() -> None:
    results = Results()
    window = Window(results, 60, 10)
    window.note(0)
    serve(results, 100, failed=100)
    window.note(60)
    serve(results, 9)
    window.note(120)
    assert window.get().counts == Counts(109, 100), "too few requests"
    serve(results, 1)
    window.note(121)
    assert window.get().counts == Counts(10, 0)
    serve(results, 20)
    window.note(150)
    assert window.get().counts == Counts(30, 0), "too little time"


def test_recent_response_times_are_those_of_the_same_requests() -> None:
    results = Results()
    window = Window(results, 60, 1)
    window.note(0)
    results.add(200, 5.0)
    window.note(60)
    results.add(200, 0.01)
    window.note(120)
    assert (window.get().summary().p95 or 1) < 0.02


def test_the_last_minutes_are_shorter_than_the_recent_ones() -> None:
    results = Results()
    recent = RecentResults(results)
    for minute in range(5):
        recent.note(60.0 * minute)
        serve(results, 300, failed=300 * (minute == 0))
    assert recent.recent().counts == Counts(1500, 300)
    assert recent.last().counts == Counts(600, 0)
