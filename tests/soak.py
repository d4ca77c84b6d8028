"""A hundred swaps under a steady load, after which everything is as it was.

    python -m tests.soak [--swaps 100]

Half of the swaps overlap and half are exclusive, each half on a supervisor of its own. The load:
clients that keep their connections and read and write in turn, one that downloads slowly, and a
WebSocket, which comes back when a swap has closed it.

The rules, for each supervisor:

- Every request is answered 200, exactly once, with its own echo; every download is whole.
- After each round, with the load away for a moment: descriptors, processes, work trees, releases
  and files are as many as after the first one.
- The memory that is resident after a swap, the middle of the last third against the middle of the
  first third, has grown by no more than 5 % or 2 MiB, whichever is more. The swaps of a warm-up
  come before: until the history is full (50 swaps) and Python has the memory that it reuses from
  then on, it grows by some 3 MiB.
"""

import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
from attrs import define, field

from tests.faults.aftermath import at_rest, settled
from tests.faults.traffic import Traffic, judge
from tests.support.figures import Figures, memory_of
from tests.support.http_client import HttpClient
from tests.support.programs import program_parser
from tests.support.site import RealSite
from tests.waiting import until

ROUND = 10
PIECES = 10
"""Of a download: together 800 KB, in 0.2 s."""
GROWTH = 0.05
GROWTH_KIB = 2048
WARM_UP = 80
"""DeployQueue of each half that come before those that count."""
BINARY_FRAME, CLOSE_FRAME = 0x82, 0x88
"""How a frame begins that is whole (RFC 6455 section 5.2)."""
UPGRADE = b"GET /socket HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
LINE = "{:10} {:>5} {:>8} {:>11} {:>9} {:>10} {:>5} {:>7} {:>6} {:>9} {:>6} {:>7}"
HEADINGS = ("strategy", "swaps", "MiB", "descriptors", "processes", "work trees", "files",
            "passed", "failed", "downloads", "echoes", "longest")  # fmt: skip


@define
class SoakLoad:
    """What passes beside the traffic, and what is wrong with it."""

    traffic: Traffic
    downloads: int = 0
    echoes: int = 0
    wrong: list[str] = field(factory=list)


async def soak(directory: Path, strategy: str, swaps: int, warm_up: int) -> list[str]:
    """So many swaps on one supervisor, with a line printed for each round; what is wrong."""
    swaps += warm_up
    directory.mkdir()
    swap = {"strategy": strategy, "stream_timeout": "100ms"}
    site = RealSite(directory, swap=swap, release={"keep": 1})
    site.commit("first")
    memory: list[int] = []
    rounds: list[tuple[int, ...]] = []
    wrong: list[str] = []
    async with site.running():
        while len(memory) < swaps:
            load = SoakLoad(Traffic(site.port, f"{len(rounds)}"))
            wrong += await _one_round(site, load, min(ROUND, swaps - len(memory)), memory)
            figures = await at_rest(site, await settled(site))
            rounds.append(_counted(figures))
            _print(strategy, len(memory), figures, load)
    wrong += [f"after a round: {now}, and first {rounds[0]}" for now in rounds if now != rounds[0]]
    return [f"{strategy}: {why}" for why in wrong + growth(memory[warm_up:])]


async def _one_round(site: RealSite, load: SoakLoad, swaps: int, memory: list[int]) -> list[str]:
    """Some swaps under load, each followed by a look at the memory; what is wrong."""
    assert site.process is not None
    wrong = []
    site.journal_file.unlink(missing_ok=True)
    async with load.traffic.flowing(), _beside(site.port, load):
        for _ in range(swaps):
            receipt = await site.ask("swap", revision=site.draft(f"swap {len(memory)}"))
            if (receipt["outcome"], receipt["failed"]) != ("promoted", 0):
                wrong.append(f"swap {len(memory)}: {receipt}")
            memory.append(memory_of(site.process.pid))
    seen = [entry for entry in site.journal() if "pieces=" not in entry["path"]]
    return wrong + load.wrong + judge(load.traffic.sent, seen, allowed=(), died=())


@asynccontextmanager
async def _beside(port: int, load: SoakLoad) -> AsyncIterator[None]:
    """One who downloads and one with a WebSocket, while the block lasts."""
    running = True

    async def download() -> None:
        async with HttpClient(port) as http:
            while running:
                answer = await http.get(f"/?pieces={PIECES}")
                if answer.status != 200 or answer.body != answer.body[:40] * 2000 * PIECES:
                    load.wrong.append(f"a download: {answer.status}, {len(answer.body)} bytes")
                load.downloads += 1

    async def talk() -> None:
        while running:
            with suppress(trio.BrokenResourceError):  # A swap closes it, in its time.
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(UPGRADE)
                    answer = await stream.receive_some()
                    if not answer.startswith(b"HTTP/1.1 101 ") or answer[-4:] != b"\r\n\r\n":
                        load.wrong.append(f"a WebSocket: {answer!r}")
                    while running and await _is_echoed(stream, load):
                        await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(download)
        nursery.start_soon(talk)
        await until("they have begun", lambda: load.downloads and load.echoes)
        try:
            yield
        finally:
            running = False


async def _is_echoed(stream: trio.SocketStream, load: SoakLoad) -> bool:
    """Say something and hear it again, all of it unless the tunnel is closed meanwhile."""
    text, heard = b"echo %d" % load.echoes, b""
    said = bytes([BINARY_FRAME, len(text)]) + text
    await stream.send_all(said)
    while len(heard) < len(said):
        more = await stream.receive_some(len(said) - len(heard))
        heard += more
        if not more or heard[0] == CLOSE_FRAME:
            return False
    if heard != said:
        load.wrong.append(f"a WebSocket: {heard!r} for {said!r}")
    load.echoes += 1
    return True


def _counted(figures: Figures) -> tuple[int, ...]:
    """What has to be the same after each round."""
    return (
        figures.descriptors.total(),
        len(figures.processes),
        len(figures.worktrees),
        len(figures.releases),
        len(figures.files),
    )


def growth(memory: Sequence[int]) -> list[str]:
    """What is wrong with these sizes in KiB, one for each swap; nothing if they stay the same."""
    third = max(1, len(memory) // 3)
    first, last = statistics.median(memory[:third]), statistics.median(memory[-third:])
    if last <= first + max(first * GROWTH, GROWTH_KIB):
        return []
    return [f"the memory has grown from {first:.0f} to {last:.0f} KiB: {memory}"]


def _print(strategy: str, swaps: int, figures: Figures, load: SoakLoad) -> None:
    sent = load.traffic.sent
    descriptors, processes, trees, _, files = _counted(figures)
    longest = max(one.took for one in sent)
    print(LINE.format(
        strategy, swaps, f"{figures.memory / 1024:.1f}", descriptors, processes, trees, files,
        load.traffic.passed, len(sent) - load.traffic.passed, load.downloads, load.echoes,
        f"{longest:.2f} s",
    ), flush=True)  # fmt: skip


async def run(directory: Path, swaps: int, warm_up: int) -> list[str]:
    """Both halves; what is wrong."""
    print(LINE.format(*HEADINGS))
    wrong = []
    for strategy, count in (("overlap", swaps - swaps // 2), ("exclusive", swaps // 2)):
        wrong += await soak(directory / strategy, strategy, count, warm_up)
    return wrong


def main() -> int:
    parser = program_parser("tests.soak", __doc__)
    parser.add_argument("--swaps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        wrong = trio.run(run, Path(name), arguments.swaps, WARM_UP)
    for why in wrong:
        print(why, file=sys.stderr)
    print(f"{arguments.swaps} swaps: {'not flat' if wrong else 'flat'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
