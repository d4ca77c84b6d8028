"""What a supervisor leaves to the program that takes its place in the same process.

For an upgrade in place, the process executes the installed program anew (execve(2)): it keeps its
pid and its children, and of its descriptors those that are handed over; all else of it is gone.
What they are is told as JSON in a file that lives in memory only (memfd_create(2)), whose number
is in the environment.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
from attrs import define, frozen
from cattrs import Converter

VERSION = 1
"""Of what is told. A program can take over only from one that tells the same."""
VARIABLE = "BLUE_GREEN_HANDOVER"

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Signals that wait until the new program listens to them: before, they would end it."""


@frozen
class HandedBackend:
    """A backend that goes on running. Numbers but `port` and `pid` are those of descriptors."""

    port: int
    pid: int
    pidfd: int
    outputs: tuple[int, int]
    mark: str


@frozen
class HandedRelease:
    """What is live."""

    slot: str
    revision: str
    path: str
    since: str
    """As ISO 8601 has it."""
    ports: tuple[int, ...]
    backends: tuple[HandedBackend, ...]


@frozen
class HandedClient:
    """A connection on which no backend has seen anything of the request in hand."""

    descriptor: int
    address: str
    unread: str
    """What was received and is still to be dealt with; bytes as Latin-1."""
    served: bool
    redirects: bool


@define
class Handover:
    """Everything. Numbers are those of descriptors."""

    program: str
    """The version of the program that hands over."""
    lock: int
    sockets: dict[str, int]
    """Those that listen, by what the settings call them."""
    file_limit: tuple[int, int]
    """That of open files, which the supervisor was started with and its children get."""
    live: HandedRelease | None
    clients: tuple[HandedClient, ...]

    @property
    def descriptors(self) -> Iterator[int]:
        yield self.lock
        yield from self.sockets.values()
        for backend in self.live.backends if self.live else ():
            yield from (backend.pidfd, *backend.outputs)
        for client in self.clients:
            yield client.descriptor


def receive() -> Handover | None:
    """What an earlier program left in this process, if it did."""
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return None
    with os.fdopen(int(number), "rb") as file:
        handover = Converter().structure(json.load(file), Handover)
    for descriptor in handover.descriptors:
        os.set_inheritable(descriptor, False)
    return handover


def hand_over(handover: Handover, argv: list[str], also: Sequence[int]) -> None:
    """Execute the program `argv` in this process, with these descriptors and those in `also`.

    Does not return, or raises `OSError`; then all is as it was.
    """
    with (
        _inheritable([*handover.descriptors, *also]),
        os.fdopen(os.memfd_create("handover", 0), "w+b", buffering=0) as file,
    ):
        file.write(json.dumps(attrs.asdict(handover)).encode())
        file.seek(0)
        os.environ[VARIABLE] = str(file.fileno())
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            os.execv(sys.executable, argv)
        finally:
            let_signals_through()
            del os.environ[VARIABLE]


def let_signals_through() -> None:
    """Those that were held back, since somebody listens to them now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


@contextmanager
def _inheritable(descriptors: Sequence[int]) -> Iterator[None]:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
