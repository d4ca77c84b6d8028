"""Two supervisors behind a real HAProxy, rolled one after the other under a real lock of etcd.

The settings, the configuration of HAProxy and the script are those of docs/fleet.md, with other
addresses.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from blue_green.config import parsing
from tests.support.app_checkout import git
from tests.support.http_client import HttpClient
from tests.support.site import RealSite, free_ports
from tests.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in ("haproxy", "etcd", "etcdctl") if not shutil.which(name, path=PATH)]
CLIENTS = 6


def block(mark: str) -> str:
    """The block of the page that has this in it."""
    blocks = re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [str(text) for text in blocks if mark in text]
    return found


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each of these replaced, which all have to be there."""
    for old, new in pairs:
        assert old in text, f"{old!r} is not in {text}"
        text = text.replace(old, new)
    return text


def test_the_settings_of_the_page_are_valid() -> None:
    settings = parsing.parse(tomllib.loads(block("[admin]")), Path("/etc/supervisor.toml"))
    seen_after = 2 * 1 + 1  # `inter` times `fall`, and `timeout check`.
    assert "inter 1s fall 2" in block("frontend site")
    assert "timeout check 1s" in block("frontend site")
    assert settings.admin.drain_delay > seen_after


@contextmanager
def program(log: Path, *words: str | Path) -> Iterator[None]:
    """A program that runs until the block ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment()
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": PATH}


@define
class FleetLoad:
    """Readers and writers on connections that are kept, and every answer to them."""

    port: int
    texts: list[str] = field(factory=list)
    failures: list[str] = field(factory=list)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(self._client, number)

    async def _client(self, number: int) -> None:
        async with HttpClient(self.port) as http:
            while True:
                try:
                    body = f"from {number}".encode() if number % 2 else b""
                    answer = await http.request("POST" if body else "GET", "/load", body)
                    assert answer.status == 200, f"{answer.status} {answer.body!r}"
                    assert answer.json()["body"] == body.decode()
                    self.texts.append(answer.json()["text"])
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await http.aclose()
                await trio.sleep(0.005)

    async def until_only(self, text: str) -> None:
        """Wait until a hundred answers in a row came from this release."""
        await until(f"{text} answers", lambda: set(self.texts[-100:]) == {text})


@define
class Fleet:
    """Two sites with one origin, and the addresses that the page's own are replaced with."""

    directory: Path
    sites: Sequence[RealSite]
    admin_ports: Sequence[int]
    etcd: str
    port: int

    async def deploy(self, number: int, revision: str) -> int:
        """Run the page's script on this machine; its exit status."""
        site = self.sites[number]
        script = site.directory / "deploy"
        script.write_text(
            replaced(
                block("etcdctl lock deploy -- blue-green swap"),
                ("10.0.0.21:2379,10.0.0.22:2379,10.0.0.23:2379", self.etcd),
                ("/var/lib/blue-green/control.sock", str(site.state / "control.sock")),
                ("/srv/app", str(site.checkout)),
            )
        )
        command = ["sh", str(script), revision]
        with (site.directory / "deploy.log").open("ab") as log:
            done = await trio.run_process(
                command, stdout=log, stderr=log, check=False, env=environment()
            )
        return done.returncode

    def write_haproxy(self) -> Path:
        """The page's configuration for these addresses, with checks that are twice as often."""
        path = self.directory / "haproxy.cfg"
        pairs = [
            ("    log /dev/log local0\n    user haproxy\n    group haproxy\n", ""),
            ("maxconn 10000", "maxconn 100"),
            ("bind :80", f"bind 127.0.0.1:{self.port}"),
            ("inter 1s", "inter 200ms"),
        ]
        for page, site, admin in zip(
            ("10.0.0.11", "10.0.0.12"), self.sites, self.admin_ports, strict=True
        ):
            ours = f"127.0.0.1:{site.port} check port {admin}"
            pairs.append((f"{page}:8000 check port 8001", ours))
        path.write_text(replaced(block("frontend site"), *pairs))
        return path

    def said(self) -> str:
        """What the programs wrote."""
        logs = sorted(self.directory.rglob("*log"))
        return "\n".join(f"--- {log}\n{log.read_text()}" for log in logs)


@asynccontextmanager
async def running_fleet(directory: Path) -> AsyncIterator[Fleet]:
    """Both machines serve a first release, and HAProxy and etcd run."""
    *admin_ports, etcd, peer, port = free_ports(5)
    sites = []
    for number, admin_port in enumerate(admin_ports):
        (directory / f"web{number}").mkdir()
        admin = {"listen": [f"127.0.0.1:{admin_port}"], "drain_delay": "1s"}
        sites.append(RealSite(directory / f"web{number}", admin=admin))
    first, second = sites
    first.commit("one")
    shutil.rmtree(second.checkout)
    origin = directory / "origin"
    git(directory, "clone", "-q", "--bare", str(first.checkout), str(origin))
    git(directory, "clone", "-q", str(origin), str(second.checkout))
    git(first.checkout, "remote", "add", "origin", str(origin))
    fleet = Fleet(directory, sites, admin_ports, f"127.0.0.1:{etcd}", port)
    urls = [f"http://127.0.0.1:{number}" for number in (etcd, peer)]
    keeps_locks = program(
        directory / "etcd.log",
        *("etcd", "--data-dir", directory / "etcd", "--initial-cluster", f"default={urls[1]}"),
        *("--listen-client-urls", urls[0], "--advertise-client-urls", urls[0]),
        *("--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]),
    )
    balances = program(directory / "haproxy.log", "haproxy", "-db", "-f", fleet.write_haproxy())
    async with first.running(), second.running():
        with keeps_locks, balances:
            yield fleet


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
async def test_machines_are_rolled_one_at_a_time_and_no_request_fails(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        first, second = fleet.sites
        two = first.draft("two")
        git(first.checkout, "push", "-q", "origin", f"{two}:refs/heads/main")
        async with trio.open_nursery() as nursery:
            load = FleetLoad(fleet.port)
            await until("HAProxy serves", lambda: answers(fleet.port))
            nursery.start_soon(load.run)
            await load.until_only("one")

            statuses: list[int] = []

            async def deploy(number: int) -> None:
                statuses.append(await fleet.deploy(number, two))

            async with trio.open_nursery() as both:
                both.start_soon(deploy, 0)
                both.start_soon(deploy, 1)
            assert statuses == [0, 0], fleet.said()
            await load.until_only("two")
            swaps = sorted(swap_of(site, two) for site in fleet.sites)
            assert swaps[0][1] < swaps[1][0], f"they swapped at the same time: {swaps}"

            broken = first.draft("three", raises="broken")
            assert await fleet.deploy(0, broken) == 1, "the roll would have gone on"

            # HAProxy sees in time that one of them is going to stop, and asks only the other.
            assert first.process is not None
            first.process.send_signal(signal.SIGTERM)
            await until("it has stopped", lambda: first.process and first.process.poll() == 0)
            await load.until_only("two")
            nursery.cancel_scope.cancel()
        assert load.failures == [], f"of {len(load.texts)} requests; {fleet.said()}"
        assert (await second.status())["live"]["revision"] == two


async def answers(port: int) -> bool:
    """Whether HAProxy listens and has found a machine that is ready."""
    try:
        async with HttpClient(port) as http:
            return (await http.get("/first")).status == 200
    except OSError:
        return False


def swap_of(site: RealSite, revision: str) -> tuple[float, float]:
    """When the candidate of this revision began, and when it listened, before its swap's end.

    What was live before retires after that end, while the next machine may begin.
    """
    kinds = ("start", "listens")
    of_kind = [[line for line in site.journal(k) if line["revision"] == revision] for k in kinds]
    ((began,), (listened,)) = of_kind
    return began["at"], listened["at"]
