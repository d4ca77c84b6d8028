"""`upgrade`: the newly installed program takes over without failing a request."""

import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

import blue_green
from tests.raw.tls_client import trusting, write_pair
from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.support.upgrade import pids, upgraded
from tests.waiting import until

MakeSite = Callable[..., RealSite]

LONGEST = 10.0
"""Seconds that a client may wait on a machine that is busy with other things."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An installation of its own, which a test can change."""
    package = tmp_path / "installed" / "blue_green"
    shutil.copytree(Path(blue_green.__file__).parent, package)
    return package


async def test_under_load_an_upgrade_fails_no_request_and_restarts_no_backend(
    make_site: MakeSite, is_timed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `pytest --timed`, on a quiet machine, nobody waits for half a second."""
    site = make_site()
    site.commit()
    longest = 0.0

    async def ask_again_and_again() -> None:
        nonlocal longest
        async with HttpClient(site.port) as http:
            while True:
                began = time.monotonic()
                assert (await http.get("/kept")).status == 200
                longest = max(longest, time.monotonic() - began)
                await trio.sleep(0.005)

    async with site.running(), HttpClient(site.port) as idle, site.steady_load():
        assert (await idle.get("/before")).status == 200
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_again_and_again)
            for _ in range(2):
                await upgraded(site)
            # The same connections go on, and what comes next is like ever.
            assert (await idle.get("/after")).status == 200
            new = site.commit("new")
            await site.until_live(new)
            assert (await idle.get("/")).json()["text"] == "new"
            nursery.cancel_scope.cancel()
    with capsys.disabled():
        print(f"\nthe longest wait in two upgrades: {longest:.3f} s")
    print(site.log()[-6000:])
    assert longest < (0.5 if is_timed else LONGEST)


async def test_with_tls_no_request_fails_during_an_upgrade(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Keys stay behind, so connections end: each with a response, or after long silence."""
    pair = write_pair(tmp_path, "localhost")
    site = make_site(proxy={"tls": {"certificate": str(pair.certificate), "key": str(pair.key)}})
    site.commit()
    context, answered, failures = trusting(), 0, list[str]()

    async def ask_again_and_again(pause: float, *, is_kept: bool) -> None:
        nonlocal answered
        while True:
            async with HttpClient(site.port, tls=context) as http:
                while True:
                    try:
                        assert (await http.get("/")).status == 200
                        answered += 1
                    except Exception as error:  # noqa: BLE001 - every failure counts
                        failures.append(repr(error))
                        break
                    await trio.sleep(pause)
                    if not is_kept:
                        break

    async with site.running(), trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(partial(ask_again_and_again, 0.01 * number, is_kept=True))
            nursery.start_soon(partial(ask_again_and_again, 0.01 * number, is_kept=False))
        nursery.start_soon(partial(ask_again_and_again, 1.5, is_kept=True))
        for _ in range(2):
            before = answered
            await until("the load goes on", lambda before=before: answered > before + 50)
            await upgraded(site)
        before = answered
        await until("the load goes on", lambda: answered > before + 50)
        nursery.cancel_scope.cancel()
    assert failures == [], f"{len(failures)} failures beside {answered} answers"


async def test_held_requests_are_answered_in_order_after_an_upgrade(
    make_site: MakeSite,
) -> None:
    site = make_site(hold={"ramp": 1})
    site.commit()
    answered: list[int] = []

    async def post(number: int) -> None:
        answer = await site.post(f"/{number}", b"%d" % number * 20_000)
        assert answer.status == 200, answer
        answered.append(number)

    async with site.running():
        await site.ask("pause", seconds=60)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(post, number)
                await until("it waits", lambda n=number: held(site, n + 1))
            status = await upgraded(site)
            assert status["paused_for"] > 0
            await until("they wait again", lambda: held(site, 10))
            assert answered == []
            await site.ask("resume")
        assert [line["path"] for line in site.journal()] == [f"/{n}" for n in range(10)]


async def held(site: RealSite, count: int) -> bool:
    return bool((await site.status())["held"] == count)


async def test_the_new_program_is_the_installed_one(make_site: MakeSite, installed: Path) -> None:
    site = make_site()
    site.commit()
    site.start(PYTHONPATH=str(installed.parent))
    try:
        await site.until_phase("serving")
        (installed / "__init__.py").write_text('__version__ = "99.0"\n')
        status = await upgraded(site)
        assert status["supervisor"]["version"] == "99.0"
        # It also takes care of what it took over: a backend that dies is started again.
        (old,) = pids(status)
        await site.get("/die")
        await until("another backend", lambda: other_pids(site, old))
    finally:
        assert await site.stop() == 0
    assert site.processes() == []


async def other_pids(site: RealSite, old: int) -> bool:
    found = pids(await site.status())
    return bool(found) and found != [old]


@pytest.mark.parametrize("what", ["install", "settings"])
async def test_a_new_program_that_does_not_start_changes_nothing(
    make_site: MakeSite, installed: Path, what: str
) -> None:
    site = make_site()
    site.commit()
    site.start(PYTHONPATH=str(installed.parent))
    try:
        before = await site.until_phase("serving")
        if what == "install":
            (installed / "routing" / "gate.py").write_text("def")
        else:
            site.config_file.write_text("[app]\n")
        async with HttpClient(site.port) as http:
            assert (await http.get("/before")).status == 200
            done = await site.cli("upgrade", "--socket", str(site.state / "control.sock"))
            assert done.code == 1
            assert "the installed program does not start" in done.err
            why = "SyntaxError" if what == "install" else "is missing, and has no default"
            assert why in done.err
            assert (await http.get("/after")).status == 200
        after = await site.ask("status")
        assert after["supervisor"] == before["supervisor"]
        assert pids(after) == pids(before)
    finally:
        assert await site.stop() == 0


async def test_a_request_that_takes_too_long_cancels_the_upgrade_and_delays_no_one(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"drain_timeout": "2s"})
    site.commit()
    async with site.running(), site.steady_load():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/slow=30")
            await until(
                "it is in flight", lambda: [r for r in site.journal() if "slow" in r["path"]]
            )
            before = await site.status()
            done = await site.cli("upgrade")
            assert done.code == 1
            assert "1 request was still in flight after 2 s" in done.err
            assert (await site.status())["supervisor"] == before["supervisor"]
            nursery.cancel_scope.cancel()


async def test_sigusr2_upgrades_too(make_site: MakeSite) -> None:
    site = make_site()
    site.commit()
    async with site.running():
        assert site.process is not None
        before = await site.status()
        site.process.send_signal(signal.SIGUSR2)

        await until("another program", lambda: site.log().count("serving test on") == 2)
        assert pids(await site.until_phase("serving")) == pids(before)
