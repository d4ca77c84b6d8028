"""The command that is notified of swaps and crashes never delays the site."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.config import parsing
from blue_green.config.kinds import Endpoint
from blue_green.site import notify
from blue_green.site.crash import Crash
from blue_green.site.notify import Notify
from blue_green.site.receipt import Receipt
from blue_green.site.trial_plan import TrialKind
from blue_green.system import users
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]

US = users.owner_of(Path("/proc/self"))
WRITE_DOWN = ["sh", "-c", "cat >>told"]

CRASH = Crash(
    "blue",
    Endpoint("127.0.0.1", 3000),
    "a" * 40,
    2,
    "the app was killed by SIGKILL",
    ("last", "words"),
)


def swap(revision: str = "b" * 40, **more: Any) -> Receipt:
    more |= {"subject": "Mend it", "previous": "a" * 40, "seconds": {"build": 1.5}}
    return Receipt("promoted", revision, at="2026-01-01T00:00:00+00:00", **more)


def told(directory: Path) -> list[dict[str, Any]]:
    file = directory / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def notifier(directory: Path, command: Sequence[str], timeout: float = 10) -> Notify:
    section = {"command": list(command), "timeout": timeout}
    document = {
        "app": {"name": "blog", "command": ["x"], "ports": [1, 2]},
        "notify": section,
    }
    return Notify(parsing.parse(document, directory / "supervisor.toml").sites[0], US)


@asynccontextmanager
async def running(it: Notify) -> AsyncIterator[None]:
    """It tells what there is until the block ends; at its end all has been told."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        yield
        await it.finish()
        nursery.cancel_scope.cancel()


async def test_the_command_gets_swaps_and_crashes_in_order_as_json_objects(tmp_path: Path) -> None:
    it = notifier(tmp_path, WRITE_DOWN)
    receipt = swap(output=["a line"])
    it.report_swap(receipt)
    it.report_crash(CRASH)
    async with running(it):
        pass
    first, second = told(tmp_path)
    who = {"site": "blog", "name": "blog", "host": socket.gethostname()}
    assert first == {
        "event": "swap",
        **who,
        "at": "2026-01-01T00:00:00+00:00",
        "outcome": "promoted",
        "revision": "b" * 40,
        "subject": "Mend it",
        "previous": "a" * 40,
        "reason": "",
        "output": ["a line"],
        "receipt": receipt.as_dict(),
    }
    assert second.pop("at")
    assert second == {
        "event": "crash",
        **who,
        "outcome": "crashed",
        "revision": "a" * 40,
        "subject": None,
        "previous": None,
        "reason": "the app was killed by SIGKILL",
        "output": ["last", "words"],
        "receipt": None,
        "slot": "blue",
        "process": None,
        "port": 3000,
        "socket": None,
        "deaths": 2,
        "untold": 0,
    }


async def test_the_command_gets_the_beginning_and_end_of_maintenance(tmp_path: Path) -> None:
    it = notifier(tmp_path, WRITE_DOWN)
    it.report_maintenance("begun", "until further notice")
    it.report_maintenance("ended", "")
    async with running(it):
        pass
    found = [(event["event"], event["outcome"], event["reason"]) for event in told(tmp_path)]
    assert found == [
        ("maintenance", "begun", "until further notice"),
        ("maintenance", "ended", ""),
    ]


async def test_the_command_gets_the_beginning_of_a_canary(tmp_path: Path) -> None:
    it = notifier(tmp_path, WRITE_DOWN)
    it.report_trial(TrialKind.CANARY, "b" * 40, "Add a page", "for 10% of the clients")
    async with running(it):
        pass
    [event] = told(tmp_path)
    keys = ("event", "outcome", "revision", "subject", "reason", "receipt")
    assert [event[key] for key in keys] == [
        "canary", "begun", "b" * 40, "Add a page", "for 10% of the clients", None
    ]  # fmt: skip


async def test_the_command_gets_certificates_that_need_attention(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    many = [HostCertificate(f"{n}.example.com", "acme", problem="no DNS") for n in range(25)]
    it = notifier(tmp_path, WRITE_DOWN)
    it.report_certificates("failing", "0.example.com: no DNS", many, now)
    async with running(it):
        pass
    [event] = told(tmp_path)
    assert (event["event"], event["outcome"], event["at"]) == (
        "certificate", "failing", "2026-11-27T00:00:00+00:00"
    )  # fmt: skip
    assert (event["site"], event["reason"]) == ("blog", "0.example.com: no DNS")
    assert event["certificates"][0] == many[0].as_dict(now)
    assert (len(event["certificates"]), event["more_certificates"]) == (20, 5)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["./nowhere"], "cannot start ./nowhere: No such file or directory"),
        (["sh", "-c", "echo no network; exit 3"], "ended with exit status 3: no network"),
        (["sleep", "600"], "sleep 600 took too long"),
    ],
)
async def test_a_failed_command_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: list[str], said: str
) -> None:
    it = notifier(tmp_path, command, timeout=0.2 if "sleep" in command else 10)
    async with running(it):
        it.report_swap(swap(output=["long " * 100_000]))  # A pipe would overflow.
    [line] = caplog.messages
    assert said in line


async def test_waiting_notifications_are_bounded_and_the_oldest_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "MAX_WAITING", 2)
    it = notifier(tmp_path, WRITE_DOWN)
    for digit in "1234":
        it.report_swap(swap(digit * 40))
    async with running(it):
        pass
    assert [event["revision"][0] for event in told(tmp_path)] == ["3", "4"]
    assert len(caplog.messages) == 2
    assert "too slow: dropped the swap event of 2026-01-01" in caplog.messages[0]


async def test_of_many_crashes_some_are_notified_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "MAX_CRASHES", 2)
    it = notifier(tmp_path, WRITE_DOWN)
    for _ in range(5):
        it.report_crash(CRASH)
    monkeypatch.setattr(notify, "CRASH_PERIOD", 0.0)  # As if that time had gone by.
    it.report_crash(CRASH)
    async with running(it):
        pass
    assert [event["untold"] for event in told(tmp_path)] == [0, 0, 3]
    assert caplog.messages == ["[notify] command: too many crashes, not all are reported"]


async def test_the_last_notification_gets_a_bounded_time_at_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "FLUSH_TIMEOUT", 0.1)
    it = notifier(tmp_path, ["sleep", "600"], timeout=600)
    async with running(it):
        it.report_crash(CRASH)
        began = trio.current_time()
    assert trio.current_time() - began < 5
    assert "some events were not reported" in caplog.messages[-1]


async def test_without_a_command_no_notification_is_kept(tmp_path: Path) -> None:
    it = notifier(tmp_path, WRITE_DOWN)
    it.use(
        parsing.parse({"app": {"command": ["x"], "ports": [1, 2]}}, tmp_path / "s.toml").sites[0]
    )
    it.report_crash(CRASH)
    async with running(it):
        pass
    assert told(tmp_path) == []


async def test_a_site_notifies_of_its_swaps_and_crashes(make_site: MakeSite) -> None:
    site = make_site(notify={"command": ["false"]})
    one = site.commit("one")
    async with site.running():
        await site.until_live(one)
        await site.until_logged("error: [notify] command: false ended with exit status 1")
        site.configure(notify={"command": WRITE_DOWN})
        assert (await site.ask("reload"))["changes"][0]["effect"] == "now"
        assert (await site.post("/die", b"")).status == 502
        assert (await site.get("/")).status == 200
        broken = site.draft("broken", raises="out of order")
        assert (await site.ask("swap", revision=broken))["outcome"] == "failed"
        await site.ask("swap", revision=one)  # Changes nothing, and so is not told.
        assert await site.stop() == 0
    crash, failed = told(site.directory)
    assert (crash["event"], crash["revision"], crash["deaths"]) == ("crash", one, 1)
    assert (crash["slot"], crash["port"]) == ("blue", site.blue)
    assert crash["reason"] == "the app ended with exit status 9"
    assert (failed["outcome"], failed["previous"]) == ("failed", one)
    assert "out of order" in "".join(failed["output"])
