"""When a crashed backend is restarted."""

from blue_green.config.kinds import Endpoint
from blue_green.site.crash import Crash


def test_restart_delays_grow_only_from_the_third_death_in_a_row() -> None:
    crashes = [
        Crash("blue", Endpoint("127.0.0.1", 3000), "a" * 40, deaths, "it died")
        for deaths in (*range(1, 12), 5000)
    ]
    assert [crash.delay for crash in crashes[:6]] == [0, 0, 0.5, 1, 2, 4]
    assert [crash.delay for crash in crashes[-2:]] == [30, 30]
