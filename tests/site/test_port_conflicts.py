"""How often a port that another program has is tried again."""

import trio
import trio.testing

from blue_green.config.kinds import Endpoint
from blue_green.site.port_conflicts import RETRY_INTERVAL, PortConflicts

ADDRESS = Endpoint("127.0.0.1", 80)


async def test_the_other_slot_is_tried_after_a_second_and_then_less_and_less_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[float] = []
    taken = PortConflicts(lambda _: asked.append(trio.current_time()))
    began = trio.current_time()
    news = 0
    while trio.current_time() < began + 100:
        news += taken.add(ADDRESS, "port 80 is taken")
        await trio.sleep(RETRY_INTERVAL)
    assert news == 1
    assert [at - began for at in asked] == [1, 6, 16, 36, 76]
    taken.forget(ADDRESS)
    assert taken.add(ADDRESS, "port 80 is taken")
