"""A site on which faults happen, and a swap that stands still in the phase that is wanted.

What holds a swap up is under the control of the app: a barrier, which is a file, at which the
app, its build or its migration waits. The soak is held up by nothing: it is long enough. A canary
and a preview wait to be promoted. In the phase `wake` there is no swap: the live release is asleep,
and a barrier holds it up when it starts.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
from attrs import define, field

from blue_green.control.messages import decode, encode
from tests.faults import trials, waking
from tests.faults.traffic import Traffic
from tests.faults.trials import TRIALS
from tests.faults.waking import WAKE
from tests.support.site import RealSite
from tests.support.visitors import PROXIES
from tests.waiting import PATIENCE, until

OVERLAP = (
    "checkout", "build", "start", "probe", *TRIALS, "drain", "hand over", "soak", "retire", WAKE,
)  # fmt: skip
EXCLUSIVE = (
    "checkout", "build", "finish", "stop processes", "stop", "migrate", "start", "probe", "soak",
)  # fmt: skip
PHASES: Mapping[str, tuple[str, ...]] = {"overlap": OVERLAP, "exclusive": EXCLUSIVE}
"""In `checkout`, the faults are there before the swap is asked for."""

BARRIERS = {
    "build": ("build", "new"), "migrate": ("migrate", "new"), "start": ("start", "new"),
    "probe": ("probe", "new"), "finish": ("request", "old"), "drain": ("request", "old"),
    "stop": ("stop", "old"),
    "retire": ("stop", "old"),
    "hand over": ("work", "old"), "stop processes": ("work", "old"),
}  # fmt: skip
"""Where who waits, to hold a swap up in a phase."""

WAIT = (
    'b="$BARRIERS/{where}-$BLUE_GREEN_REVISION"; [ ! -e "$b" ] || : >"$b.reached"; '
    'while [ -e "$b" ]; do sleep 0.02; done'
)
WORKER = """
import os, signal, time
def finish(*_):
    barrier = f"{os.environ['BARRIERS']}/work-{os.environ['BLUE_GREEN_REVISION']}"
    if os.path.exists(barrier):
        open(barrier + ".reached", "w").close()
    while os.path.exists(barrier):
        time.sleep(0.02)
    os._exit(0)
signal.signal(signal.SIGTERM, finish)
while True:
    time.sleep(600)
"""
"""A process beside the app, which may take long to finish its work."""
READ_ONLY = (
    "if grep -q read_only behaviour.json; then "
    "mkdir -p mod/cache && : >mod/cache/file && chmod -R a-w mod; fi; "
)
"""As Go leaves its module cache."""
WITH_REQUESTS = ("finish", "drain")
"""Phases that last as long as there are requests."""
BEHIND = ("drain", "retire")
"""These go on behind the swap, which has ended then."""
DISK = "16m"
"""The size of the disk that holds the state directory, if we may mount one."""
SOAK = "1s"


class Stage:
    """A site and its supervisor, which serve for one case after the other."""

    def __init__(self, directory: Path, kind: tuple[str, bool]) -> None:
        """`kind` is that of the cases: their strategy, and whether there is a soak."""
        directory.mkdir()
        self.kind = strategy, soaks = kind
        self.site = site = RealSite(
            directory,
            release={"build": ["sh", "-c", READ_ONLY + WAIT.format(where="build")], "keep": 1},
            swap={"strategy": strategy, "soak": SOAK if soaks else 0, "stream_timeout": "1s"},
            app={"stop_timeout": "1s"},
            health={"timeout": "1s"},
            proxy=PROXIES,
            processes={
                "worker": {"command": [sys.executable, "-S", "-c", WORKER], "stop_timeout": "60s"}
            },
        )
        if strategy == "exclusive":
            site.configure(release={"migrate": ["sh", "-c", WAIT.format(where="migrate")]})
        self.has_disk = os.geteuid() == 0 and _mount(site.state)
        self.numbers = 0
        """How many cases there were."""
        self.is_worn = False
        """What is live has died before, or is not like others: the next case needs a new one."""
        site.commit("first")

    async def serve(self) -> None:
        """Be there, with some release live and nothing in hand."""
        if self.site.process is None or self.site.process.poll() is not None:
            self.site.start()
        await self.site.until_phase("serving")

    def close(self) -> None:
        """End the supervisor and all that it left, however badly things went."""
        try:
            self._end_processes()
        finally:
            if self.has_disk:
                subprocess.run(["umount", "--lazy", str(self.site.state)], check=True)

    def _end_processes(self) -> None:
        site = self.site
        if site.process is not None and site.process.poll() is None:
            site.process.terminate()
            try:
                site.process.wait(10)
            except subprocess.TimeoutExpired:
                site.process.kill()
                site.process.wait()
        for pid in site.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _mount(directory: Path) -> bool:
    """A small disk of its own; not everybody who is root may mount (in a container, say)."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "faults", str(directory)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@define(eq=False)
class Scene:
    """One swap on a stage, and what was done to it."""

    stage: Stage
    phase: str
    live: Mapping[str, Any]
    """What was live before, as the status has it."""
    workers: list[int]
    """The processes beside what was live before."""
    new: str
    traffic: Traffic
    nursery: trio.Nursery
    died: set[int] = field(factory=set)
    """Backends that ended without warning."""
    is_down: bool = False
    """The supervisor has ended, as it was meant to."""
    events: list[dict[str, Any]] = field(factory=list)
    """What whoever asked for the swap was told."""
    followed: trio.Event = field(factory=trio.Event)
    """Nothing more will be told."""
    is_asked_for: bool = False
    kept: dict[str, Any] = field(factory=dict)
    """What a fault has to undo."""

    @property
    def site(self) -> RealSite:
        return self.stage.site

    @property
    def old(self) -> str:
        """The revision that was live before."""
        revision: str = self.live["revision"]
        return revision

    def ask(self) -> None:
        """Ask for the swap, if there is to be one."""
        self.is_asked_for = True
        if self.phase == WAKE:
            self.followed.set()
        else:
            self.nursery.start_soon(self._follow)

    async def reach(self) -> None:
        """Let the swap come to its phase, and stand still there."""
        if self.phase == WAKE:
            await waking.requests_wait(self)
            return
        await self.traffic.has_begun()
        if self.phase == "checkout":
            return
        barrier = None
        if self.phase in BARRIERS:
            where, whose = BARRIERS[self.phase]
            barrier = self.site.put_up(where, self.new if whose == "new" else self.old)
        if self.phase in WITH_REQUESTS:
            for method in ("GET", "POST"):
                self.nursery.start_soon(self.traffic.ask, method, "wait")
            await until("they are in flight", lambda: len(self._waiting()) == 2)
        self.ask()
        reached = barrier and barrier.with_name(f"{barrier.name}.reached")

        def is_there() -> bool:
            has_ended = self.followed.is_set() and self.phase not in (*BEHIND, "preview")
            assert not has_ended, f"it did not come to {self.phase}: {self.events}"
            is_told = any(event.get("phase") == self.phase for event in self.events)
            has_barrier = reached and self.phase not in WITH_REQUESTS
            return reached.exists() if reached and has_barrier else is_told

        await until(f"the swap comes to {self.phase}", is_there)
        if self.phase in TRIALS:
            await trials.both_serve(self)

    async def go_on(self, *, fails: bool) -> None:
        """Take away what holds up the swap, which `fails` or may be promoted."""
        self.site.take_down_barriers()
        if self.phase in TRIALS and not self.is_down:
            await trials.promote(self, fails=fails)

    async def promote_retry(self) -> None:
        """Promote the new release once more if its trial failed, and is tried again."""
        if self.phase in TRIALS and not self.is_down and self.receipt and self.receipt["retry_in"]:
            await trials.promote_next(self)

    def _waiting(self) -> list[Any]:
        return [entry for entry in self.site.journal() if entry["path"].endswith("wait")]

    async def _follow(self) -> None:
        """Note what is told of the swap, until its end."""
        try:
            async with await trio.open_unix_socket(str(self.site.state / "control.sock")) as stream:
                options = trials.OPTIONS.get(self.phase, {})
                await stream.send_all(encode({"command": "swap", "revision": self.new, **options}))
                begun = b""
                async for data in stream:
                    *lines, begun = (begun + data).split(b"\n")
                    self.events += map(decode, lines)
        except (OSError, trio.BrokenResourceError):
            pass  # The supervisor has ended; there is no receipt in the events.
        finally:
            self.followed.set()

    @property
    def receipt(self) -> dict[str, Any] | None:
        """How the swap ended, if that was told."""
        last = self.events[-1] if self.events else {}
        assert last.get("event") != "error", last
        return last if last.get("event") == "result" else None

    def kill_old(self) -> None:
        self._kill(self.live["pids"])

    def kill_new(self) -> None:
        """The candidate, or the command that makes it runnable, with all that they started."""
        old = {*self.live["pids"], *self.workers}
        self._kill([pid for pid in self.site.processes() if pid not in old])

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            self.died.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill_supervisor(self) -> None:
        """And nothing else: its backends go on."""
        self.is_down = True
        assert await self.site.stop(signal.SIGKILL) == -signal.SIGKILL, self.site.log()

    async def terminate_supervisor(self) -> None:
        """As systemd does. What is in flight may end; then nothing is left."""
        assert self.site.process is not None
        self.is_down = True
        stops = self.site.log().count("stopping:")
        self.site.process.terminate()
        await until("it has heard", lambda: self.site.log().count("stopping:") > stops)
        self.site.take_down_barriers()
        code = await trio.to_thread.run_sync(self.site.process.wait, PATIENCE)
        assert code == 0, f"it ended with {code}"
        assert self.site.processes() == [], f"left behind: {self.site.processes()}"
