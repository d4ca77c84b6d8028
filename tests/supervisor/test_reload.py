"""Settings are reloaded while the site serves: by `reload` and by SIGHUP."""

import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import trio

from blue_green.config import change_text
from tests.support.http_client import Answer
from tests.support.service_manager import service_manager
from tests.support.site import RealSite, free_ports
from tests.support.swaps import lasting
from tests.waiting import PATIENCE, until

MakeSite = Callable[..., RealSite]


async def reload(site: RealSite, **sections: dict[str, Any]) -> list[str]:
    """Change the file and have it read; what is told."""
    site.configure(**sections)
    result = await site.ask("reload")
    assert result["event"] == "result", result
    return change_text.changes(result["changes"]).splitlines()


async def problems(site: RealSite, **sections: dict[str, Any]) -> list[str]:
    """What is told of a file that is wrong in this way; then it is as it was."""
    before = deepcopy(site.sections)
    site.configure(**sections)
    result = await site.ask("reload")
    assert (result["event"], result["usage"]) == ("error", True), result
    site.sections = before
    site.configure()
    return [line.removeprefix(f"{site.config_file}: ") for line in result["error"].splitlines()]


async def live(site: RealSite) -> dict[str, Any]:
    return lasting((await site.status())["live"])


async def swap(site: RealSite, revision: str, *, outcome: str = "promoted") -> dict[str, Any]:
    """Make it live, also again; how that was."""
    receipt = await site.ask("swap", revision=revision, retry=True)
    assert receipt["outcome"] == outcome, receipt
    return await live(site)


async def crash(site: RealSite) -> dict[str, Any]:
    """The live release dies, and is there again."""
    before = await live(site)
    assert (await site.post("/die", b"")).status == 502
    assert (await site.get("/")).status == 200
    after = await live(site)
    assert after["pids"] != before["pids"]
    return after


def runs(word: str) -> dict[str, Any]:
    """Settings of an app whose processes are told by this word."""
    return {"command": [sys.executable, "app.py", word]}


def word_of(slot: dict[str, Any]) -> str:
    [pid] = slot["pids"]
    *_, word, _ = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return word


@asynccontextmanager
async def held_request(site: RealSite) -> AsyncIterator[list[Answer]]:
    """A request that waits; it must have been answered well when the block has ended."""
    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await site.post("/held", b"all of it"))

    async def holds() -> bool:
        return bool((await site.status())["held"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await until("it is held", holds)
        yield answers
    assert answers[0].status == 200, answers[0].body.decode()


# --- now ------------------------------------------------------------------------------------


async def test_settings_that_can_change_live_do_and_no_request_fails(make_site: MakeSite) -> None:
    site = make_site()
    site.commit()
    async with site.running():
        async with site.steady_load():
            site.configure(hold={"limit": 1}, proxy={"access_log": True, "listen": ["[::]:80"]})
            done = await site.cli("reload")
            assert (done.code, done.err) == (0, "")
            assert done.out.splitlines() == [
                "[hold] limit: 1000 -> 1, now",
                f'[proxy] listen: ["127.0.0.1:{site.port}"] -> ["[::]:80"], '
                "needs a restart of the supervisor",
                "[proxy] access_log: false -> true, now",
            ]
            status = await site.status()
            assert status["addresses"] == f"127.0.0.1:{site.port}"
            assert [change["key"] for change in status["needs_restart"]] == ["listen"]
            await site.until_logged("request status=200")
            await reload(site, proxy={"access_log": False})
        await site.ask("pause", seconds=60)
        async with held_request(site):
            assert (await site.get("/one-too-many")).status == 503
            told = await reload(site, hold={"limit": 2, "timeout": "20s"})
            assert told[:2] == ["[hold] timeout: 30s -> 20s, now", "[hold] limit: 1 -> 2, now"]
            async with held_request(site):
                await site.ask("resume")
        done = await site.cli("reload", "--json")
        [change] = json.loads(done.out)["changes"]
        assert (change["key"], change["new"], change["effect"]) == (
            "listen",
            ["[::]:80"],
            "restart",
        )


async def test_running_probes_and_pulls_follow_the_new_settings(make_site: MakeSite) -> None:
    site = make_site(health={"interval": "600s"})
    site.commit()
    async with site.running():
        assert (await site.status())["problem"] == ""
        await reload(site, git={"pull_every": "50ms"})

        async def problem() -> str:
            text: str = (await site.status())["problem"]
            return text

        assert "main has no upstream" in await until("it pulls", problem)
        del site.sections["git"]["pull_every"]
        assert await reload(site) == ["[git] pull_every: 50ms -> none, now"]

        async def no_problem() -> bool:
            return not await problem()

        await until("it pulls no more", no_problem)
        await reload(site, health={"status": [204], "interval": "50ms", "fall": 2})
        await site.until_logged("unhealthy and will be replaced: 2 probes in a row failed")


# --- at the next swap -----------------------------------------------------------------------


async def test_held_requests_follow_to_the_new_ports(make_site: MakeSite) -> None:
    site = make_site(app=runs("old"))
    one = site.commit("one")
    async with site.running():
        before = await live(site)
        await site.ask("pause", seconds=60)
        async with held_request(site) as answers:
            blue, green = free_ports(2)
            await reload(site, app={"ports": [blue, green], **runs("new")})
            assert await live(site) == before
            after = await swap(site, one)
            assert (after["ports"], word_of(after)) == ([green], "new")
            await site.ask("resume")
        assert answers[0].json()["pid"] in after["pids"]


async def test_a_crash_or_a_rollback_before_the_next_swap_uses_the_old_settings(
    make_site: MakeSite,
) -> None:
    """The old release goes on with its own command and ports, live or warm."""
    site = make_site(app=runs("old"), swap={"soak": "30s"})
    site.commit("one")
    async with site.running():
        async with site.steady_load():
            blue, green = free_ports(2)
            assert await reload(site, app={"ports": [blue, green], **runs("new")})
            warm = await live(site)
        warm = await crash(site)
        assert (warm["ports"], word_of(warm)) == ([site.blue], "old")
        async with site.steady_load() as texts:
            site.commit("two")
            await until("the new one answers", lambda: "two" in texts)
            candidate = await live(site)
            assert (candidate["ports"], word_of(candidate)) == ([green], "new")
            assert (await site.ask("rollback"))["outcome"] == "reverted"
            assert (await live(site))["pids"] == warm["pids"]
        again = await crash(site)
        assert (again["ports"], word_of(again)) == ([site.blue], "old")


async def test_a_port_that_the_other_slot_still_uses_is_taken_when_it_is_free(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running(), site.steady_load():
        await swap(site, one)
        [third] = free_ports(1)
        await reload(site, app={"ports": [site.green, third]})
        ports = [(await swap(site, one))["ports"] for _ in range(3)]
        assert ports == [[site.blue], [third], [site.green]]


async def test_an_exclusive_swap_can_take_the_port_of_the_one_that_it_stops(
    make_site: MakeSite,
) -> None:
    site = make_site(app=runs("old"))
    site.commit("one")
    async with site.running():
        [third] = free_ports(1)
        settings = {"ports": [third, site.blue], **runs("new")}
        await reload(site, app=settings, swap={"strategy": "exclusive"})
        old = await swap(site, site.draft("broken", raises="no such table"), outcome="failed")
        assert (old["ports"], word_of(old)) == ([site.blue], "old")
        new = await swap(site, site.draft("two"))
        assert (new["slot"], new["ports"], word_of(new)) == ("green", [site.blue], "new")


async def test_the_current_swap_keeps_the_settings_it_began_with(make_site: MakeSite) -> None:
    site = make_site(app=runs("old"))
    site.commit("one")
    async with site.running():
        two = site.draft("two", start_delay=0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swap, site, two)
            await until("it starts", lambda: len(site.journal("set up")) == 2)
            await reload(
                site,
                app=runs("new"),
                swap={"strategy": "exclusive", "soak": "100ms"},
                health={"status": [204], "fall": 1000},
            )
        status = await site.status()
        assert status["live"]["revision"] == two
        assert word_of(status["live"]) == "old"
        assert "soak" not in status["last_swap"]["seconds"]
        await reload(site, health={"status": [200]})
        assert word_of(await swap(site, two)) == "new"
        assert "stop" in (await site.status())["last_swap"]["seconds"], "it was exclusive"


# --- what is wrong --------------------------------------------------------------------------


async def test_an_invalid_file_changes_nothing_and_all_errors_are_reported(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit()
    async with site.running(), site.steady_load():
        wrong = {"limit": 5, "limits": 6, "ramp": 0}
        told = await problems(site, hold=wrong, app={"ports": [1]})
        assert sorted(told) == [
            "[app] ports: must be two ports, blue's and green's, such as [3000, 3001]",
            "[hold] limits: is unknown; did you mean limit?",
            "[hold] ramp: must be a whole number of at least 1, not 0",
        ]
        await site.until_logged("not reloaded, the settings have mistakes")
        pages = site.directory / "nowhere"
        user = {"user": "no-such-user"}
        told = await problems(site, app=user, proxy={"error_pages": str(pages)})
        assert told[0] == '[app] user: there is no user "no-such-user" on this machine'
        assert told[1].startswith(f"[proxy] error_pages: {pages} cannot be read")

        # Good after a restart, but not before: until then the proxy has its old port.
        other, spare = free_ports(2)
        listen = {"listen": [f"127.0.0.1:{other}"]}
        [problem] = await problems(site, proxy=listen, app={"ports": [site.port, spare]})
        assert problem.startswith(f"[proxy] listen: port {site.port} is one of the app's own")
        assert "a reload cannot make these changes together" in problem

        assert await reload(site) == ["nothing has changed"]
        pages = site.directory / "pages"
        pages.mkdir()
        await reload(site, proxy={"error_pages": str(pages)})
        assert await reload(site) == ["nothing has changed"]
        (pages / "maintenance.html").write_text("Closed. {message}")
        assert await reload(site) == [f"error_pages: other files in {pages}, now"]
        assert await reload(site) == ["nothing has changed"]
        site.configure(hold=wrong)
        done = await site.cli("reload")
        assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 2)
        site.config_file.write_text("[hold]\nlimit = \n")
        done = await site.cli("reload", "--socket", str(site.state / "control.sock"))
        plain = (done.code, done.err)
        assert plain[0] == 2
        assert done.err.count("is not TOML") == 1
        site.config_file.write_text(f'[state]\ndirectory = "{site.state}"\n[hold]\nlimit = \n')
        done = await site.cli("reload")
        assert (done.code, len(done.err.splitlines())) == (2, 1), "it is said once"
        assert "is not TOML" in done.err


async def test_sighup_reloads_and_notifies_systemd(make_site: MakeSite) -> None:
    site = make_site()
    site.commit()
    async with service_manager(site.directory / "notify") as heard:
        site.start(NOTIFY_SOCKET=str(site.directory / "notify"))
        try:
            await site.until_phase("serving")
            assert site.process is not None
            site.configure(hold={"ramp": 0, "limit": "many"})
            site.process.send_signal(signal.SIGHUP)
            await site.until_logged("[hold] limit: must be a whole number")
            await site.until_logged("[hold] ramp: must be a whole number")
            await until("it is ready again", lambda: heard.count("READY=1") == 2)
            site.configure(hold={"ramp": 4, "limit": 5})
            site.process.send_signal(signal.SIGHUP)
            await site.until_logged("[hold] limit: 1000 -> 5, now")
            await until("it is ready again", lambda: heard.count("READY=1") == 3)
        finally:
            assert await site.stop() == 0, site.log()
    at = heard.index("RELOADING=1")
    name, _, microseconds = heard[at + 1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert 0 < time.monotonic() - int(microseconds) / 1e6 < PATIENCE
    assert heard[at + 2] == "READY=1"
