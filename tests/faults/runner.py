"""Runs one case after the other, and counts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trio

from tests.faults import waking
from tests.faults.aftermath import (
    at_rest,
    check_nothing_is_left,
    check_outcome,
    settled,
    workers_of,
)
from tests.faults.cases import Case
from tests.faults.scene import Scene, Stage
from tests.faults.summary import Summary
from tests.faults.table import Fault
from tests.faults.traffic import Traffic, judge
from tests.faults.waking import WAKE
from tests.waiting import PATIENCE


class Runner:
    """Keeps a stage for the cases of one kind, which come one after the other.

    It makes a new one for the next kind, and after a case that failed.
    """

    def __init__(self, directory: Path, summary: Summary) -> None:
        self.summary = summary
        self._directory = directory
        self._stage: Stage | None = None
        self._count = 0

    async def run(self, case: Case) -> str:
        """Let it happen; raise `AssertionError` with what is wrong. Why it was skipped, if so."""
        stage = self._stage_for(case)
        if any(fault.needs_disk for fault in case.faults) and not stage.has_disk:
            return "it needs a small disk, which only root can mount"
        try:
            await self._run_on(stage, case)
        except BaseException:
            self.close()
            print(stage.site.log()[-20_000:])
            raise
        return ""

    def _stage_for(self, case: Case) -> Stage:
        if self._stage is None or self._stage.kind != case.kind:
            self.close()
            self._count += 1
            self._stage = Stage(self._directory / f"stage-{self._count}", case.kind)
        return self._stage

    async def _run_on(self, stage: Stage, case: Case) -> None:
        site = stage.site
        await stage.serve()
        old = _merged(fault.old for fault in case.faults)
        if old or stage.is_worn:
            receipt = await site.ask("swap", revision=site.draft(f"before {case}", **old))
            assert receipt["outcome"] == "promoted", receipt
        status = await settled(site)
        before = await at_rest(site, status)
        site.journal_file.unlink(missing_ok=True)
        stage.numbers += 1
        name = f"case-{stage.numbers}"
        traffic = Traffic(site.port, name)
        new = status["live"]["revision"]
        if case.phase == WAKE:
            status = await waking.fall_asleep(site)
        else:
            new = site.draft(name, **_merged(fault.new for fault in case.faults))
        async with traffic.flowing() as nursery:
            live, workers = status["live"], workers_of(status)
            scene = Scene(stage, case.phase, live, workers, new, traffic, nursery)
            await _happen(scene, case)
            status = await settled(site, site.head() if case.loses_state else None)
            if case.phase == WAKE:
                await waking.stay_awake(site)
        check_outcome(scene, case, status)
        wrong = judge(traffic.sent, site.journal(), allowed=case.allowed, died=scene.died)
        assert wrong == [], "\n".join(wrong)
        await check_nothing_is_left(site, before, lost=case.loses_state)
        is_old = status["live"]["revision"] == scene.old
        stage.is_worn = is_old and bool(old or scene.died & set(scene.live["pids"]))
        self._count_in(case, traffic)

    def _count_in(self, case: Case, traffic: Traffic) -> None:
        self.summary.cases += 1
        self.summary.faults += len(case.faults)
        self.summary.sent += len(traffic.sent)
        self.summary.passed += traffic.passed

    def close(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.close()


async def _happen(scene: Scene, case: Case) -> None:
    """They come, those last that end the supervisor; it is started again; they are taken away."""
    faults = sorted(case.faults, key=lambda fault: fault.ends_supervisor)
    await scene.reach()
    for fault in faults:
        if fault.happen is not None:
            await fault.happen(scene)
    if not scene.is_asked_for:
        scene.ask()
    if any(fault.ends_supervisor for fault in faults):
        await _start_again(scene, faults)
    await scene.go_on(fails=case.outcome not in (None, "promoted"))
    with trio.fail_after(PATIENCE):
        await scene.followed.wait()
    for fault in faults:
        if fault.heal is not None:
            await fault.heal(scene)
    await scene.promote_retry()


async def _start_again(scene: Scene, faults: Iterable[Fault]) -> None:
    if not scene.is_down:
        await scene.kill_supervisor()
    for fault in faults:
        if fault.while_down is not None:
            await fault.while_down(scene)
    if scene.phase == WAKE:  # What was to wake is restored.
        scene.site.take_down_barriers()
    await scene.stage.serve()


def _merged(behaviours: Iterable[Any]) -> dict[str, Any]:
    return {key: value for behaviour in behaviours for key, value in behaviour.items()}
