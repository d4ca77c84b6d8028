"""The events of one site: everything at first, then what is new."""

from pathlib import Path

import pytest

from blue_green.site.trigger import Trigger
from blue_green.system.output import MAX_LINES
from tests.support.admin_address import admin_address

NO_TAGS = "<img src=x onerror=\"document.title='run'\">"
NOTHING = "0" * 40


async def test_an_event_stream_sends_the_past_first_and_then_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)
    async with admin_address(tmp_path) as admin:
        admin.site.output.take("blue", NOTHING, ["one", "two"], is_error=False)
        async with admin.reader() as reader:
            event = await reader.next()
            assert (event["name"], event["phase"], event["stopping"]) == ("blog", "starting", False)
            assert [line[1:] for line in event["lines"]] == [
                ["blue", "0000000", "one"], ["blue", "0000000", "two"]
            ]  # fmt: skip
            admin.site.gate.by_status[200] = 3
            admin.site.output.take("green", NOTHING, [NO_TAGS], is_error=True)
            event = await reader.next()
            assert [line[3] for line in event["lines"]] == [NO_TAGS]
            while not event["seconds"]:
                event = await reader.next()
            assert [second[1:] for second in event["seconds"]] == [[0, 3, 0, 0, 0, 0]]
            admin.site.is_stopping = True
            event = await reader.next()
            assert (event["lines"], event["stopping"]) == ([], True)
        async with admin.reader() as late:
            event = await late.next()
            assert len(event["lines"]) == 3
            assert [0, 3, 0, 0, 0, 0] in [second[1:] for second in event["seconds"]]


async def test_an_event_stream_sends_each_phase_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 3600)
    build = {"build": ["sleep", "0.2"]}
    async with admin_address(tmp_path, release=build) as admin, admin.reader() as reader:
        assert (await reader.next())["swap"] is None
        admin.site.queue.request(
            admin.repository.first, Trigger.SWAP
        )  # The app ends soon, and never answers.
        seen: list[tuple[str, str]] = []
        event = await reader.next()
        while swap := event["swap"]:
            seen.append((swap["phase"], event["slots"][0]["state"]))
            event = await reader.next()
        assert ("build", "") in seen
        assert ("probe", "candidate") in seen
        assert event["last_swap"]["outcome"] == "failed"


async def test_of_a_flood_of_output_an_event_stream_sends_the_end(tmp_path: Path) -> None:
    async with admin_address(tmp_path) as admin:
        admin.site.output.take("blue", NOTHING, ["before"] * 1000, is_error=False)
        async with admin.reader() as reader:
            event = await reader.next()
            assert (len(event["lines"]), event["lost"]) == (100, 0)
            flood = [str(number) for number in range(MAX_LINES + 500)]
            admin.site.output.take("blue", NOTHING, flood, is_error=False)
            event = await reader.next()
            assert event["lost"] == len(flood) - 100
            assert [line[3] for line in event["lines"]] == flood[-100:]
