"""Runs one kind of attack against a site of its own, and says what it cost the others."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, frozen

from tests.hostile.attacker import BEGUN
from tests.hostile.attacks import wakes
from tests.hostile.polite import HOST, Waits
from tests.hostile.table import Attack
from tests.hostile.target import TargetSite
from tests.raw.tls_client import authority, write_pair
from tests.support.figures import memory_of
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite
from tests.waiting import until

APP = Path(__file__).with_name("app.py")
UNREAD = """
import os, runpy
never_read, log = os.pipe()
os.dup2(log, 2)
runpy.run_module("blue_green", run_name="__main__")
"""
"""The supervisor with a log that nobody reads."""
SETTLE = 1.0
"""Seconds for what an attack left to be cleared away."""
LOOK_EVERY = 0.05
MOST_AT_ONCE = 100.0
"""Milliseconds that 99 of 100 polite requests may take under attack, ..."""
MOST_TIMES = 10
"""... or so many times what they take when it is quiet."""


@frozen
class Memory:
    """Of the supervisor, in MiB; `during` is the most that was seen."""

    before: float
    during: float
    after: float


@frozen
class Result:
    """What became of the others."""

    quiet: Waits
    attacked: Waits
    memory: Memory
    ends: Counter[str]
    """The errors of HTTP/2 with which connections of the attacker were ended."""
    missed: list[str]
    """The bounds that were not held, in words."""


async def run(kind: Attack, directory: Path, seconds: float) -> Result:
    """Measure without the attack for so long, and then with it."""
    async with _site(kind, directory) as (site, target):
        assert site.process is not None
        pid = site.process.pid
        quiet = await _polite(target, seconds)
        before = memory_of(pid) / 1024
        async with _most_memory(pid) as most:
            with _attacking(kind, target, directory / "ends") as attacker:
                await until("the attack has begun", lambda: _words(directory / "ends"))
                await trio.sleep(kind.settle)
                attacked = await _polite(target, seconds)
                code = attacker.poll()
        await trio.sleep(SETTLE)
        memory = Memory(before, most.seen / 1024, memory_of(pid) / 1024)
    ends = Counter(_words(directory / "ends"))
    del ends[BEGUN]
    missed = [*_missed(kind, quiet, attacked, memory), *_wrong(kind, ends, site.log_file)]
    if code is not None:
        missed.append(f"the attacker ended by itself, with exit status {code}")
    return Result(quiet, attacked, memory, ends, missed)


def _words(file: Path) -> list[str]:
    return file.read_text().split()


def _missed(kind: Attack, quiet: Waits, attacked: Waits, memory: Memory) -> Iterator[str]:
    bound = max(MOST_AT_ONCE, MOST_TIMES * quiet.p99)
    if attacked.p99 > bound:
        yield f"the 99th percentile is {attacked.p99:.0f} ms, over {bound:.0f} ms"
    if quiet.failed:
        yield f"{quiet.failed} requests failed before the attack: {quiet.why}"
    if attacked.failed and not kind.refuses:
        yield f"{attacked.failed} polite requests failed: {attacked.why}"
    if memory.during - memory.before > kind.growth:
        grown = memory.during - memory.before
        yield f"the memory grew by {grown:.0f} MiB, over {kind.growth} MiB"


def _wrong(kind: Attack, ends: Counter[str], log: Path) -> Iterator[str]:
    if set(ends) - {kind.ends, kind.may_end} or (kind.ends and not ends):
        expected = kind.ends or kind.may_end or "no error"
        yield f"connections were ended with {dict(ends)}, and not with {expected}"
    if log.exists() and "Traceback" in (text := log.read_text(errors="replace")):
        yield "the log has an exception:\n" + text[text.index("Traceback") :][:4000]


@asynccontextmanager
async def _site(
    kind: Attack, directory: Path
) -> AsyncIterator[tuple[RealSite | SeveralSites, TargetSite]]:
    directory.mkdir()
    app = {"app.py": APP.read_text()}
    if kind.sleeper:
        sites = SeveralSites(directory)
        sites.add(wakes.SITE, idle=kind.sleeper).commit("asleep", app)
        polite = sites.add("polite", hosts=[HOST])
        polite.commit("awake", app)
        async with sites.running():
            yield sites, TargetSite(sites.port, polite.checkout, sites.state)
        return
    site = RealSite(directory, **{name: dict(values) for name, values in kind.sections.items()})
    signer = None
    if kind.over_tls:
        tls = write_pair(directory)
        pair = {"certificate": str(tls.certificate), "key": str(tls.key)}
        site.configure(proxy={"tls": pair})
        signer = directory / "authority.pem"
        authority().cert_pem.write_to_path(str(signer))
    if kind.log_stalls:
        site.program = ["-c", UNREAD]
    site.commit(files=app)
    async with site.running():
        yield site, TargetSite(site.port, site.checkout, site.state, signer)


async def _polite(target: TargetSite, seconds: float) -> Waits:
    command = [sys.executable, "-m", "tests.hostile.polite", target.to_json(), str(seconds)]
    done = await trio.run_process(command, capture_stdout=True)
    fields: dict[str, Any] = json.loads(done.stdout)
    return Waits(**fields)


@contextmanager
def _attacking(kind: Attack, target: TargetSite, ends: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The attacker, while the block lasts.

    It writes to `ends` when it begins, and how its connections end.
    """
    command = [sys.executable, "-m", "tests.hostile.attacker", target.to_json(), kind.name]
    with ends.open("wb") as output:
        attacker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)
    try:
        yield attacker
    finally:
        attacker.kill()
        attacker.wait()


@define
class _Most:
    seen: int
    """KiB."""


@asynccontextmanager
async def _most_memory(pid: int) -> AsyncIterator[_Most]:
    """The most that is resident while the block lasts."""
    most = _Most(memory_of(pid))

    async def look() -> None:
        while True:
            most.seen = max(most.seen, memory_of(pid))
            await trio.sleep(LOOK_EVERY)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        yield most
        nursery.cancel_scope.cancel()
