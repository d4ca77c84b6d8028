"""A disk that is slow, or hangs, keeps only those waiting who want its files."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.config.kinds import Endpoint
from blue_green.files.lookup import SETTLED_NS
from blue_green.files.roots import FileRoots
from blue_green.routing.lease import Target
from blue_green.system import beneath
from tests.raw.files import fetch, roots, serving, write
from tests.raw.proxy import SHORT
from tests.raw.sites import Plan, running_sites
from tests.waiting import until

CONTENT = os.urandom(5_000_000)


@pytest.fixture
def files(tmp_path: Path) -> FileRoots:
    write(tmp_path, {"public/a.html": "a", "public/b.html": "b", "public/large": CONTENT})
    return roots(tmp_path)


class HungDisk:
    """Opening a file with this name takes until the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
        self.back = threading.Event()
        self.waiting = 0
        real = beneath.open_beneath

        def open_beneath(directory: int, names: tuple[bytes, ...], *flags: int) -> int:
            if names[-1:] == (name,):
                self.waiting += 1
                assert self.back.wait(10)
            return real(directory, names, *flags)

        monkeypatch.setattr("blue_green.files.bases.open_beneath", open_beneath)


async def test_a_disk_that_hangs_stops_neither_the_loop_nor_other_files(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HungDisk(monkeypatch, b"a.html")
    async with serving(files, response_timeout=SHORT) as proxy:
        clients = [await proxy.ask(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(50)]
        await until("the disk hangs", lambda: disk.waiting)
        assert (await fetch(proxy, "/b.html")).body == b"b"
        for client in clients:
            assert (await client.answer()).status == 504
        assert disk.waiting < 10
        disk.back.set()
        assert (await fetch(proxy, "/a.html")).body == b"a"


async def test_a_client_that_disconnects_does_not_wait_for_the_disk(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HungDisk(monkeypatch, b"a.html")
    async with serving(files) as proxy:
        client = await proxy.ask(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
        await until("the disk hangs", lambda: disk.waiting)
        await client.reset()
        await until("it is gone", lambda: not proxy.listener.connections)
        disk.back.set()


async def test_many_requests_for_a_file_read_it_once(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trio.sleep(SETTLED_NS / 1e9)  # What has just changed may change again unnoticed.
    disk = HungDisk(monkeypatch, b"a.html")
    async with serving(files) as proxy:
        clients = [await proxy.ask(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(50)]
        await until("the disk hangs", lambda: disk.waiting)
        await trio.testing.wait_all_tasks_blocked()
        disk.back.set()
        assert {(await client.answer()).body for client in clients} == {b"a"}
        assert disk.waiting < 5


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EOPNOTSUPP])
async def test_what_is_not_in_memory_is_read_in_a_thread(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    loop, readers = threading.get_ident(), []
    real = os.pread

    def preadv(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    def pread(*arguments: int) -> bytes:
        readers.append(threading.get_ident())
        return real(*arguments)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "pread", pread)
    async with serving(files) as proxy:
        readers.clear()
        assert (await fetch(proxy, "/large")).body == CONTENT
    assert readers and loop not in readers


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
async def test_a_disk_that_fails_breaks_the_response(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = os.sendfile

    def sendfile(sock: int, file: int, offset: int, count: int) -> int:
        if offset:
            raise OSError(code, os.strerror(code))
        return real(sock, file, offset, 100_000)

    monkeypatch.setattr(os, "sendfile", sendfile)
    async with serving(files) as proxy:
        client = await proxy.ask(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await client.count() < len(CONTENT)
        assert client.was_reset


async def test_a_failure_to_open_a_file_is_an_error(
    files: FileRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_beneath(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("blue_green.files.bases.open_beneath", open_beneath)
    async with serving(files) as proxy:
        answer = await fetch(proxy, "/a.html")
        assert answer.status == 500
        assert b"The file cannot be read." in answer.body


async def test_requests_wait_for_the_first_release_of_a_static_site(files: FileRoots) -> None:
    async with running_sites({"blog": Plan(("h",))}) as sites:
        site = sites["blog"].served
        site.gate.switch([])
        client = await sites.proxy.ask(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
        await until("it is held", lambda: site.gate.held)
        site.files = files
        site.gate.switch([Target(Endpoint(), "blue", "1" * 40)])
        assert (await client.answer()).body == b"a"


async def test_paths_of_the_settings_are_those_that_the_app_sees(files: FileRoots) -> None:
    write(files.releases[0].path, {"public/index.html": "home"})
    async with running_sites({"blog": Plan(("h",), ("/blog",), strip_path=True)}) as sites:
        sites["blog"].served.files = files
        assert (await sites.get("h/blog/a.html")).body == b"a"
        assert (await sites.get("h/blog/")).body == b"home"
        answer = await sites.get("h/blog?x")
        assert (answer.status, answer.field(b"location")) == (308, [b"./blog/?x"])
        assert (await sites.get("h/blog/%2e%2e/a.html")).status == 400
