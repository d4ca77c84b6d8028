"""What a swap reports, which of several requested revisions wins, and what cancels a swap."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.waiting import until

MakeSite = Callable[..., RealSite]

RECEIPT = {
    "outcome", "revision", "previous", "reason", "output", "held", "longest_hold", "retried",
    "cut", "drained", "failed", "seconds",
}  # fmt: skip
"""What the design promises; there may be more."""
STATUS = {
    "phase", "live", "candidate", "wanted", "held", "in_flight", "quarantined", "last_swap",
}  # fmt: skip


PHASES = ["checkout", "build", "start", "probe", "switch", "drain", "soak"]


async def test_swap_shows_its_phases_in_order_and_ends_with_the_receipt(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"build": ["true"]}, swap={"soak": "100ms"})
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        done = await site.cli("swap", two)
        assert (done.code, done.err) == (0, "")
        first, *phases, promoted, numbers = done.out.splitlines()
        assert first == f"swap to {two[:7]}"
        names = [line.split()[0] for line in phases]
        assert names == PHASES
        assert promoted == f"promoted {two[:7]}"
        assert numbers.startswith("held 0, longest 0.0 s, retried 0, cut 0, lost 0, drained 0, ")


async def test_json_has_the_documented_keys(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        two = site.draft("two")
        receipt = json.loads((await site.cli("swap", two, "--json")).out)
        assert receipt.keys() >= RECEIPT
        assert (receipt["outcome"], receipt["revision"], receipt["previous"]) == (
            "promoted", two, one,
        )  # fmt: skip
        assert all(seconds >= 0 for seconds in receipt["seconds"].values())
        status = json.loads((await site.cli("status", "--json")).out)
        assert status.keys() >= STATUS
        assert status["live"].keys() >= {"slot", "revision", "ports", "pids", "since"}
        assert status["last_swap"] == receipt


async def test_swap_without_waiting_ends_at_once(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        slow = site.draft("slow")
        barrier = site.put_up("start", slow)
        done = await site.cli("swap", slow, "--no-wait")
        assert (done.code, done.out) == (0, f"{slow[:7]} is queued\n")
        assert (await site.status())["wanted"] == slow
        await site.until_phase("swapping")  # When old releases have been removed.
        barrier.unlink()
        await site.until_live(slow)


async def test_a_swap_to_the_live_revision_changes_nothing(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        before = (await site.status())["live"]
        done = await site.cli("swap", one)
        assert (done.code, done.out.split()[0]) == (0, "unchanged")
        assert (await site.status())["live"] == before
        retried = await site.cli("swap", one, "--retry")
        assert retried.code == 0, "a retry of what is live is how it is started anew"
        assert (await site.status())["live"]["pids"] != before["pids"]


async def test_a_quarantined_revision_is_refused_until_it_is_retried(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        away = site.directory / "database-is-away"
        away.touch()
        unlucky = site.draft("unlucky", raises_while_there_is=str(away))
        assert (await site.cli("swap", unlucky)).code == 1
        away.unlink()
        starts = len(site.journal("start"))
        refused = await site.cli("swap", unlucky)
        assert refused.code == 1
        assert (
            "in quarantine (to deploy it anyway: "
            f"blue-green swap --retry {unlucky[:7]}): the app ended" in refused.out
        )
        assert "last lines of output:\n" in refused.out
        assert "    RuntimeError: the database is away\n" in refused.out
        assert len(site.journal("start")) == starts
        outcomes = [swap["outcome"] for swap in site.remembered()["history"]]
        assert outcomes == ["promoted", "failed"], "who asks again pushes nothing out"
        assert (await site.status())["last_swap"]["reason"].startswith("the app ended")
        assert (await site.cli("swap", unlucky, "--retry")).code == 0
        assert (await site.until_live(unlucky))["quarantined"] == {}


async def test_an_unknown_revision_is_wrong_usage(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        before = (await site.status())["live"]
        for name in ("no-such-branch", "f" * 40, "--upload-pack=x", "HEAD:app.py", "a\nb", ""):
            done = await site.cli("swap", name)
            assert done.code == 2, (name, done)
            assert "Traceback" not in done.err
        assert (await site.status())["live"] == before


@pytest.mark.parametrize(
    ("step", "slow"),
    [
        ("build", {"files": {"build.sh": "sleep 600"}}),
        ("probe", {"start_delay": 600}),
    ],
)
async def test_a_newer_revision_cancels_a_swap_that_has_not_switched(
    make_site: MakeSite, step: str, slow: dict[str, Any]
) -> None:
    site = make_site(release={"build": ["sh", "build.sh"]})
    one = site.commit("one", {"build.sh": "true"})
    async with site.running(), site.steady_load():
        two = site.draft("two", **slow)
        done: list[dict[str, Any]] = []

        async def first_asker() -> None:
            asked = await site.cli("swap", two, "--json")
            assert asked.code == 1
            done.append(json.loads(asked.out))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first_asker)
            await reaches(site, step)
            three = site.draft("three", {"build.sh": "true"})
            assert (await site.cli("swap", three)).code == 0
        assert (done[0]["outcome"], done[0]["revision"]) == ("superseded", two)
        status = await site.until_live(three)
        assert status["quarantined"] == {}
        await site.until_only_run(status["live"]["pids"])
        assert [outcome for outcome, _ in outcomes(site)][:3] == [
            "promoted", "superseded", "promoted",
        ]  # fmt: skip
        assert status["previous"] == one
        assert two[:12] not in site.releases() or step == "probe"


@pytest.mark.parametrize("step", ["drain", "soak"])
async def test_a_newer_revision_runs_next_after_the_switch(make_site: MakeSite, step: str) -> None:
    site = make_site(swap={"soak": "1s"})
    site.commit("one")
    may_answer = site.directory / "may-answer"
    async with site.running():
        async with trio.open_nursery() as nursery:
            if step == "drain":
                nursery.start_soon(site.get, f"/?until={may_answer}")
                await until("it is in flight", site.journal)
            two = site.draft("two")
            done = []

            async def first_asker() -> None:
                done.append((await site.cli("swap", two)).code)

            nursery.start_soon(first_asker)
            await reaches(site, step)
            three = site.draft("three")
            await site.ask("swap", revision=three, wait=False)
            may_answer.touch()
        assert done == [0]
        status = await site.until_live(three)
        assert status["previous"] == two
        await site.until_only_run(status["live"]["pids"])


async def test_a_revision_requested_while_its_swap_is_being_cancelled_is_deployed(
    make_site: MakeSite,
) -> None:
    """As when somebody resets the branch to a commit, and at once back to the other."""
    site = make_site(app={"stop_timeout": "1s"})
    site.commit("one")
    async with site.running():
        two = site.draft("two", start_delay=1, ignores_sigterm=True)
        await site.ask("swap", revision=two, wait=False)
        await until("it is deaf", lambda: len(site.journal("set up")) == 2)
        await site.ask("swap", revision=site.draft("three"), wait=False)
        last = await site.cli("swap", two)
        assert last.code == 0, f"{last}\n{site.log()}"
        await site.until_live(two)


async def test_a_request_for_a_swap_waits_while_an_exclusive_swap_holds_requests(
    make_site: MakeSite,
) -> None:
    """What is stopped already cannot be called off; of those that wait, the last one counts."""
    site = make_site(swap={"strategy": "exclusive"})
    site.commit("one")
    outcome: dict[str, str] = {}

    async def ask_for(name: str, revision: str) -> None:
        outcome[name] = (await site.ask("swap", revision=revision))["outcome"]

    async def is_wanted(revision: str) -> bool:
        return bool((await site.status())["wanted"] == revision)

    async with site.running(), site.steady_load():
        two, three, four = (site.draft(text) for text in ("two", "three", "four"))
        barrier = site.put_up("start", two)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_for, "two", two)
            await reaches(site, "probe")
            nursery.start_soon(ask_for, "three", three)
            await until("three is wanted", lambda: is_wanted(three))
            await site.ask("swap", revision=four, wait=False)
            await until("three is told", lambda: "three" in outcome)
            assert outcome == {"three": "superseded"}
            barrier.unlink()
        status = await site.until_live(four)
        assert outcome == {"two": "promoted", "three": "superseded"}
        assert (status["previous"], status["quarantined"]) == (two, {})
        await site.until_only_run(status["live"]["pids"])


async def test_twenty_commits_in_two_seconds_are_at_most_three_swaps(make_site: MakeSite) -> None:
    site = make_site(swap={"soak": "1s"})
    before = site.commit("before")
    async with site.running(), site.steady_load():
        began = trio.current_time()
        for number in range(20):
            await trio.sleep_until(began + number / 10)
            last = site.commit(str(number))
        took = trio.current_time() - began
        status = await site.until_live(last)
        await until("it is remembered", lambda: outcomes(site)[-1] == ("promoted", last))
        promoted = [revision for outcome, revision in outcomes(site) if outcome == "promoted"]
        assert promoted[0] == before
        # While one soaks, none begins. On a machine that is slow to commit, there is time for more.
        assert len(promoted) - 1 <= 1 + math.ceil(took)
        await site.until_only_run(status["live"]["pids"])


async def test_the_old_release_keeps_its_old_files(make_site: MakeSite) -> None:
    """The test app reads its text when it answers, as others read templates."""
    site = make_site(swap={"soak": "2s"})
    site.commit("one")
    may_answer = site.directory / "may-answer"
    async with site.running():
        (site.checkout / "text.txt").write_text("edited, and not committed")
        assert (await site.get("/")).json()["text"] == "one"
        texts: list[str] = []

        async def ask() -> None:
            texts.append((await site.get(f"/?until={may_answer}")).json()["text"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until("it is in flight", lambda: len(site.journal()) == 2)
            two = site.commit("two")
            await reaches(site, "drain")
            assert (await site.get("/")).json()["text"] == "two"
            may_answer.touch()
        assert texts == ["one"]
        await site.until_live(two)


async def test_a_swap_continues_when_its_client_disconnects(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        command = [sys.executable, "-m", "blue_green", "swap"]
        for how in (signal.SIGINT, signal.SIGKILL):
            revision = site.draft(how.name)
            barrier = site.put_up("start", revision)
            asker = subprocess.Popen(
                [*command, revision, "--config", str(site.config_file)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            await reaches(site, "probe")
            asker.send_signal(how)
            _, complaint = await trio.to_thread.run_sync(asker.communicate)
            barrier.unlink()
            if how is signal.SIGINT:
                assert asker.returncode == 130
                assert "the swap continues" in complaint
                assert "Traceback" not in complaint
            else:
                assert (await site.cli("swap", revision)).code == 0, "it tells of that same swap"
            await site.until_live(revision)
            starts = [line for line in site.journal("start") if line["revision"] == revision]
            assert len(starts) == 1


async def test_a_commit_is_not_missed_when_git_fails_once(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    site.commit("one")
    broken = site.directory / "git-is-broken"
    git = site.directory / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=":")
    async with site.running():
        monkeypatch.undo()  # Only the supervisor has that git.
        broken.touch()
        two = site.commit("two")

        async def complains() -> str:
            problem: str = (await site.status())["problem"]
            return problem

        await until("there is a problem", complains)
        broken.unlink()
        await site.until_live(two)
        assert await complains() == ""


async def test_a_candidate_is_warmed_up_before_it_goes_live_and_a_restarted_one_is_not(
    make_site: MakeSite,
) -> None:
    site = make_site(health={"warmup": ["/first?slow=0.3", "/second"]})
    site.commit("one")
    async with site.running(), site.steady_load() as texts:
        two = site.draft("two")
        receipt = json.loads((await site.cli("swap", two, "--json")).out)
        assert list(receipt["seconds"])[2:5] == ["probe", "warm up", "switch"]
        assert receipt["seconds"]["warm up"] >= 0.3
        await until("the load has reached it", lambda: "two" in texts)
        asked = [line["path"] for line in site.journal() if line["revision"] == two]
        assert asked[:3] == ["/first?slow=0.3", "/second", "/load"]
        [pid] = (await site.status())["live"]["pids"]
        since = len(texts)
        os.kill(pid, signal.SIGKILL)
        await until("it is live again", lambda: len(texts) > since + 10)
        assert [line["path"] for line in site.journal()].count("/second") == 2


async def test_a_candidate_that_dies_during_its_warmup_changes_nothing(make_site: MakeSite) -> None:
    site = make_site(health={"warmup": ["/die"]}, app={"stop_timeout": "500ms"})
    one = site.commit("one")
    async with site.running(wait_for="failing"):
        receipt = (await site.status())["last_swap"]
        assert (receipt["outcome"], receipt["revision"]) == ("failed", one)
        assert receipt["reason"] == "the app ended with exit status 9 before it was healthy"
