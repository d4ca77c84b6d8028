"""The HEADs of pushes that are live already are expected, in their order, for a while."""

import trio.testing

from blue_green.site.pushes import EXPECTED, Pushes


async def test_a_head_is_expected_once() -> None:
    pushes = Pushes()
    assert (pushes.pending, pushes.take("a")) == (None, False)
    pushes.deployed("a")
    assert pushes.pending == "a"
    assert [pushes.take("a"), pushes.take("a")] == [True, False]


async def test_a_head_that_the_watch_did_not_see_is_no_longer_expected_after_the_next() -> None:
    pushes = Pushes()
    for revision in "abc":
        pushes.deployed(revision)
    assert (pushes.take("b"), pushes.pending) == (True, "c")
    assert not pushes.take("a"), "somebody has reset the branch to it"
    assert not pushes.take("c"), "HEAD has moved in another way since"


async def test_a_push_that_is_refused_after_all_is_forgotten() -> None:
    pushes = Pushes()
    pushes.deployed("a")
    pushes.deployed("b")
    pushes.refused("b")
    assert (pushes.pending, pushes.take("b")) == ("a", False)


async def test_a_push_that_git_did_not_finish_is_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pushes = Pushes()
    pushes.deployed("a")
    await trio.sleep(EXPECTED)
    assert (pushes.pending, pushes.take("a")) == (None, False)
