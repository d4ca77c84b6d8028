"""A commit that does not work is logged and causes no outage."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.app_checkout import git
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

HASTY = {"start_timeout": "3s", "timeout": "500ms"}
"""As short as they may be for an app that works, on a machine that has other things to do."""


async def refuses(
    site: RealSite, revision: str, *, outcome: str = "failed", is_to_blame: bool = True
) -> dict[str, Any]:
    """A swap to this revision ends so, and everything goes on as before; its receipt."""
    before = (await site.status())["live"]
    done = await site.cli("swap", revision, "--json")
    assert done.code == 1, f"{done}\n{site.log()}"
    receipt: dict[str, Any] = json.loads(done.out)
    assert (receipt["outcome"], receipt["revision"]) == (outcome, revision), receipt
    status = await site.status()
    kept = ("revision", "slot", "ports", "pids")
    assert [status["live"][key] for key in kept] == [before[key] for key in kept]
    assert (status["phase"], status["candidate"]) == ("serving", None)
    assert status["quarantined"] == ({revision: receipt["reason"]} if is_to_blame else {})
    assert status["last_swap"] == receipt
    await site.until_only_run(status["live"]["pids"])
    return receipt


async def takes(site: RealSite, revision: str) -> None:
    """HEAD has moved to this revision, and it goes live."""
    status = await site.until_live(revision)
    assert status["last_swap"]["outcome"] == "promoted"
    assert revision not in status["quarantined"]
    assert (await site.get("/")).json()["revision"] == revision


@pytest.mark.parametrize(
    ("behaviour", "reason", "last_line"),
    [
        pytest.param(
            {"raises": "no such table: users", "grandchildren": True},
            "the app ended with exit status 1 before it was healthy",
            "RuntimeError: no such table: users",
            id="it exits at import and leaves grandchildren",
        ),
        pytest.param(
            {"never_answers": True},
            "not healthy within 3 s: no answer to GET /healthz within 0.5 s",
            None,
            id="it listens and never answers",
        ),
        pytest.param(
            {"health_status": 500, "grandchildren": True},
            "not healthy within 3 s: GET /healthz was answered 500",
            None,
            id="it answers 500 and leaves grandchildren",
        ),
        pytest.param(
            {"start_delay": 600, "ignores_sigterm": True},
            "not healthy within 3 s: nothing listens on port {idle}; the app does not listen",
            None,
            id="it never listens and ignores SIGTERM",
        ),
    ],
)
async def test_a_candidate_that_is_never_healthy_changes_nothing(
    make_site: MakeSite, behaviour: dict[str, Any], reason: str, last_line: str | None
) -> None:
    site = make_site(health=HASTY, app={"stop_timeout": "500ms"})
    site.commit("good")
    async with site.running(), site.steady_load() as texts:
        receipt = await refuses(site, site.draft("bad", **behaviour))
        assert receipt["reason"] == reason.format(idle=site.green)
        assert receipt["output"][-1:] == ([last_line] if last_line else [])
        assert "bad" not in texts
        await takes(site, site.commit("better"))


async def test_a_candidate_that_dies_after_the_switch_gives_traffic_back(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"soak": "600ms"})
    site.commit("good")
    async with site.running(), site.steady_load() as texts:
        receipt = await refuses(site, site.draft("bad", healthy_for=1), outcome="reverted")
        assert receipt["reason"] == "the app ended with exit status 7"
        assert receipt["output"][-1:] == ["gone to pieces"]
        assert receipt["failed"] == 0
        since = len(texts)
        await until("traffic goes on", lambda: len(texts) > since + 10)
        assert set(texts[since + 10 :]) == {"good"}
        await takes(site, site.commit("better"))


async def test_another_program_on_the_idle_port_is_not_taken_for_the_candidate(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("good")
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(ok)

    async with site.running(), site.steady_load() as texts, trio.open_nursery() as other_program:
        listeners = await trio.open_tcp_listeners(site.green, host="127.0.0.1")
        other_program.start_soon(trio.serve_listeners, answer, listeners)
        receipt = await refuses(site, site.draft("kept out"), is_to_blame=False)
        assert f"port {site.green} is taken: pid {os.getpid()} (" in receipt["reason"]
        assert "kept out" not in texts
        other_program.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()
        for listener in listeners:
            await listener.aclose()
        await takes(site, site.commit("better"))


async def test_a_release_that_ignores_sigterm_is_killed_after_stop_timeout(
    make_site: MakeSite,
) -> None:
    site = make_site(app={"stop_timeout": "500ms"})
    site.commit("deaf", ignores_sigterm=True)
    async with site.running(), site.steady_load():
        deaf = (await site.status())["live"]["pids"][0]
        await takes(site, site.commit("better"))
        await site.until_logged(f"pid {deaf} did not stop within 0.5 s: killed")
        status = await site.status()
        await site.until_only_run(status["live"]["pids"])


async def test_the_descendants_of_a_retired_release_end_with_it(
    make_site: MakeSite,
) -> None:
    site = make_site(app={"stop_timeout": "500ms"})
    site.commit("fertile", grandchildren=True)
    async with site.running(), site.steady_load():
        await until("it has two children", lambda: len(site.processes()) == 3)
        await takes(site, site.commit("better"))
        await site.until_only_run((await site.status())["live"]["pids"])


@pytest.mark.parametrize(
    ("script", "reason", "last_line"),
    [
        pytest.param(
            "echo no such header >&2; exit 3", "build ended with exit status 3", "no such header",
            id="it fails",
        ),
        pytest.param(
            "sleep 600 & echo still at it; sleep 600",
            "build took more than 3 s and was killed",
            "still at it",
            id="it takes too long",
        ),
    ],
)  # fmt: skip
async def test_a_failed_build_starts_nothing(
    make_site: MakeSite, script: str, reason: str, last_line: str
) -> None:
    site = make_site(release={"build": ["sh", "build.sh"], "build_timeout": "3s"})
    site.commit("good", {"build.sh": "true"})
    async with site.running(), site.steady_load():
        receipt = await refuses(site, site.draft("bad", {"build.sh": script}))
        assert (receipt["reason"], receipt["output"]) == (reason, [last_line])
        await until("one is left", lambda: len(site.releases()) == len(site.worktrees()) == 1)
        await takes(site, site.commit("better", {"build.sh": "true"}))


async def test_a_missing_command_is_named(make_site: MakeSite) -> None:
    site = make_site(app={"command": ["{release}/serve"]})
    script = site.checkout / "serve"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} app.py\n")
    script.chmod(0o755)
    site.commit("good")
    async with site.running(), site.steady_load():
        content = script.read_text()
        script.unlink()
        receipt = await refuses(site, site.draft("bad"))
        assert "/serve: No such file or directory" in receipt["reason"]
        script.write_text(content)
        script.chmod(0o755)
        await takes(site, site.commit("better"))


async def test_a_missing_linked_path_is_logged(make_site: MakeSite) -> None:
    site = make_site(release={"link": [".env"]})
    secrets = site.checkout / ".env"
    secrets.write_text("KEY=1")
    site.commit("good", {".gitignore": ".env"})
    async with site.running(), site.steady_load():
        secrets.unlink()
        await takes(site, site.commit("better"))
        await site.until_logged(f"link: {secrets} does not exist yet")
        assert not secrets.exists()


@pytest.mark.parametrize("kind", ["file", "symlink"])
async def test_a_commit_that_contains_a_linked_path_fails_alone(
    make_site: MakeSite, tmp_path: Path, kind: str
) -> None:
    """Whoever can push chooses what the link's directory is: nothing may end or leak by it."""
    site = make_site(release={"link": ["config/secret"]})
    (site.checkout / "config").mkdir()
    (site.checkout / "config" / "secret").write_text("KEY=1")
    site.commit("good", {".gitignore": "config"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with site.running(), site.steady_load():
        target = tmp_path / "target"
        target.write_text(str(elsewhere))
        blob = git(site.checkout, "hash-object", "-w", str(target))
        mode = "100644" if kind == "file" else "120000"
        git(site.checkout, "update-index", "--add", "--cacheinfo", f"{mode},{blob},config")
        tree = git(site.checkout, "write-tree")
        bad = git(site.checkout, "commit-tree", "-p", "HEAD", "-m", "bad", tree)
        git(site.checkout, "reset", "-q")
        receipt = await refuses(site, bad)
        assert "/config" in receipt["reason"]
        assert list(elsewhere.iterdir()) == []
        await takes(site, site.commit("better"))


async def test_the_kept_output_of_failed_candidates_is_bounded_in_bytes(
    make_site: MakeSite,
) -> None:
    """Each writes sixty lines of 16,000 bytes that take four times as many to be shown."""
    loud = "import os\nfor _ in range(60):\n    os.write(2, b'\\1' * 16_000 + b'\\n')\n"
    site = make_site()
    site.commit("good")
    async with site.running(), site.steady_load():
        for number in range(3):
            revision = site.draft("loud", {"app.py": f"{loud}raise SystemExit({number + 3})"})
            done = await site.cli("swap", revision, "--json")
            assert (done.code, len(done.out) < 30_000) == (1, True)
            assert json.loads(done.out)["output"][-1].startswith(r"\x01\x01")
        assert (site.state / "state.toml").stat().st_size < 60_000
        for command in ("status", "history"):
            assert len((await site.cli(command, "--json")).out) < 100_000
