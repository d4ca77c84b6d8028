"""What a swap does when memory may not suffice for two releases at once."""

import json
import os
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest

from blue_green.system import memory, procfs
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]

MEMINFO = """MemTotal:       16384000 kB
MemFree:          100000 kB
MemAvailable:    {available} kB
Buffers:          100000 kB
"""
STAT = "anon 700\ninactive_file 30\nactive_file 60\n"


# --- what is there --------------------------------------------------------------------------


def test_available_memory_is_read_from_meminfo() -> None:
    assert memory.in_machine(MEMINFO.format(available=2048)) == 2048 * 1024
    assert memory.in_machine("MemTotal: 1 kB\n") == inf, "a kernel from before 3.14"


@pytest.mark.parametrize(
    ("limit", "current", "stat", "room"),
    [
        ("max\n", "800\n", STAT, inf),
        ("1000\n", "800\n", STAT, 230),
        ("1000\n", "800\n", "", 200),
        ("1000\n", "1200\n", "inactive_file 0\n", -200),
    ],
)
def test_a_cgroup_has_room_up_to_its_limit_plus_its_reclaimable_cache(
    limit: str, current: str, stat: str, room: float
) -> None:
    assert memory.in_group(limit, current, stat) == room


@pytest.mark.parametrize(
    ("cgroup", "group"),
    [
        ("0::/system.slice/blog.service\n", Path("system.slice/blog.service")),
        ("9:name=systemd:/\n4:memory:/box\n0::/\n", Path()),
        ("4:memory:/box\n", None),
        ("0::/../../outside\n", None),
    ],
)
def test_our_cgroup_is_the_one_of_version_2(cgroup: str, group: Path | None) -> None:
    assert memory.group_of(cgroup) == group


@pytest.mark.parametrize(("slice_limit", "room"), [("max", 400), ("900", 300), ("5000", 400)])
def test_the_tightest_limit_of_the_machine_and_all_parent_cgroups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_limit: str, room: int
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    service = groups / "system.slice" / "blog.service"
    service.mkdir(parents=True)
    for group, limit in ((service, "1000"), (service.parent, slice_limit)):
        for name, content in (("max", limit), ("current", "600"), ("stat", "")):
            (group / f"memory.{name}").write_text(content)
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO.format(available=1))
    (proc / "self" / "cgroup").write_text("0::/system.slice/blog.service\n")
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "GROUPS", groups)
    assert memory.available() == room


def test_available_memory_of_this_machine_is_positive() -> None:
    assert 2**20 < memory.available() < inf


# --- what is used ---------------------------------------------------------------------------


def test_a_process_uses_the_memory_it_has_written_to() -> None:
    before = procfs.memory(os.getpid())
    block = bytearray(os.urandom(1)) * (64 * 2**20)
    assert procfs.memory(os.getpid()) - before > 0.9 * len(block)


def test_resident_memory_counts_where_smaps_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("5000 300 100 1 0 200 0\n")
    monkeypatch.setattr(procfs, "PROC", tmp_path)
    assert procfs.memory(7) == 300 * os.sysconf("SC_PAGE_SIZE")
    assert procfs.memory(8) == 0, "it is gone"


# --- what follows ---------------------------------------------------------------------------


def test_as_much_memory_as_the_live_release_uses_is_enough() -> None:
    assert memory.decide(100, 100, "refuse", is_unhealthy=False) == "enough"
    for low_memory in ("warn", "refuse", "exclusive"):
        assert memory.decide(100, 99, low_memory, is_unhealthy=False) == low_memory


def test_an_unhealthy_release_is_replaced_even_where_swaps_are_refused() -> None:
    assert memory.decide(100, 99, "refuse", is_unhealthy=True) == "exclusive"


SMALL_MACHINE = """
import sys
from pathlib import Path
from blue_green import cli
from blue_green.system import memory
memory.PROC = Path(sys.argv.pop(1))
sys.exit(cli.main())
"""


@pytest.fixture
def make_small(make_site: MakeSite, tmp_path: Path) -> MakeSite:
    """A site that sees 1 MiB available, which is less than any Python uses."""

    def make(**sections: dict[str, Any]) -> RealSite:
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").touch()
        (tmp_path / "proc" / "meminfo").write_text(MEMINFO.format(available=1024))
        site = make_site(**sections)
        site.program = ["-c", SMALL_MACHINE, str(tmp_path / "proc")]
        return site

    return make


async def test_a_swap_is_refused_until_there_is_enough_memory(
    make_small: MakeSite, tmp_path: Path
) -> None:
    site = make_small(swap={"low_memory": "refuse"})
    site.commit("one")
    async with site.running():
        before = (await site.status())["live"]
        two = site.draft("two")
        done = await site.cli("swap", two, "--json")
        assert done.code == 1
        reason = json.loads(done.out)["reason"]
        assert reason.startswith("1 MiB of memory are available, and the live release uses ")
        status = await site.status()
        assert (status["live"], status["quarantined"]) == (before, {})
        assert len(site.journal("start")) == 1

        (tmp_path / "proc" / "meminfo").write_text(MEMINFO.format(available=1024**2))
        assert (await site.cli("swap", two)).code == 0


async def test_a_swap_is_exclusive_where_two_releases_may_not_fit(
    make_small: MakeSite, tmp_path: Path
) -> None:
    lock = {"LOCK": str(tmp_path / "lock")}  # The app ends if another one has it.
    site = make_small(swap={"low_memory": "exclusive"}, app={"env": lock})
    site.commit("one")
    async with site.running(), site.steady_load():
        receipt = json.loads((await site.cli("swap", site.draft("two"), "--json")).out)
        assert (receipt["outcome"], receipt["failed"]) == ("promoted", 0), receipt
        assert "stop" in receipt["seconds"]
        await site.until_logged("stopping it first")
    assert site.journal("overlap") == []


@pytest.mark.long
async def test_a_canary_fails_where_two_releases_may_not_fit_and_is_retried(
    make_small: MakeSite, tmp_path: Path
) -> None:
    site = make_small(swap={"low_memory": "exclusive", "canary": "50%", "canary_for": "300ms"})
    site.commit("one")
    async with site.running(), site.steady_load():
        pids = (await site.status())["live"]["pids"]
        two = site.draft("two")
        receipt = json.loads((await site.cli("swap", two, "--json")).out)
        assert receipt["outcome"] == "failed"
        assert receipt["reason"].startswith("1 MiB of memory are available, and the live release")
        assert receipt["reason"].endswith(
            "would stop that first, and a canary needs both: free some, or deploy it without: "
            f"blue-green swap {two[:7]} --canary 0%"
        )
        status = await site.status()
        assert (status["live"]["pids"], status["quarantined"]) == (pids, {})
        assert "stopping it first" not in site.log()
        (tmp_path / "proc" / "meminfo").write_text(MEMINFO.format(available=1024**2))
        status = await site.until_live(two)
        assert "canary" in status["last_swap"]["seconds"]
        (tmp_path / "proc" / "meminfo").write_text(MEMINFO.format(available=1024))
        done = await site.cli("swap", site.draft("three"), "--canary", "0%", "--json")
        assert "stop" in json.loads(done.out)["seconds"]
