"""Handover from a supervisor to the program that replaces it in the same process.

For an upgrade in place, the process executes the installed program (execve(2)): it keeps its pid,
its children, and the descriptors that are handed over; everything else is lost. They are described
as JSON in a memory file (memfd_create(2)), whose descriptor is in the environment.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
from attrs import define, field, frozen
from cattrs import Converter

from blue_green.system import capabilities

VERSION = 1
"""The version of the JSON object. A program can take over only from one with the same version."""
VARIABLE = "BLUE_GREEN_HANDOVER"

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Signals that are blocked until the new program handles them: before, they would kill it."""


@frozen
class HandedBackend:
    """A running backend. Numbers other than `port` and `pid` are descriptors."""

    port: int
    pid: int
    pidfd: int
    outputs: tuple[int, int]
    mark: str
    """The marker in the environment of its processes."""
    socket: str = ""
    """The path of its Unix socket, if it has one instead of a port."""


@frozen
class HandedProcess:
    """A running program that takes no requests; `pidfd` and `outputs` are descriptors."""

    name: str
    number: int
    always_runs: bool
    """It has no schedule."""
    slot: str
    revision: str
    path: str
    """The release that it belongs to, which may be an earlier one."""
    pid: int
    pidfd: int
    outputs: tuple[int, int]
    mark: str
    """The marker in the environment of its processes."""
    source: str
    """Its name in the log."""
    stop_signal: int
    stop_timeout: float
    stopped_in: float | None
    """Seconds until it is stopped, if the release that is live now does not go on with it."""
    killed_in: float | None
    """Seconds until it is killed, if it has got its stop signal."""


@frozen
class HandedResults:
    """What is known of the results of a release."""

    times: tuple[int, ...]
    """The number of response times in each bucket."""
    seconds: float
    """The sum of all response times."""
    responses: int
    rejected: int
    errors: int
    broken: int
    unanswered: int
    given_up: tuple[int, ...] = ()
    """The number of clients that disconnected before a response, by how long they had waited."""


@frozen
class HandedRelease:
    """The live release, and the processes of the site."""

    slot: str
    revision: str
    path: str
    since: str
    """ISO 8601."""
    ports: tuple[int, ...]
    backends: tuple[HandedBackend, ...]
    sockets: tuple[str, ...] = ()
    processes: tuple[HandedProcess, ...] = ()
    results: HandedResults | None = None


@frozen
class HandedClient:
    """A connection whose current request has not reached a backend."""

    descriptor: int
    address: str
    unread: str
    """Received data that was not processed yet; bytes as Latin-1."""
    served: bool
    redirects: bool


@define
class Handover:
    """All that is handed over. Numbers are descriptors."""

    program: str
    """The version of the program that hands over."""
    lock: int
    sockets: dict[str, int]
    """Listening sockets, by setting and address."""
    file_limit: tuple[int, int]
    """The open-file limit that the supervisor was started with, which its children get."""
    live: HandedRelease | None
    clients: tuple[HandedClient, ...]
    sites: dict[str, HandedRelease] = field(factory=dict)
    """The live releases of several sites, by name. `live` is that of a single one."""

    @property
    def releases(self) -> list[HandedRelease]:
        return [*([self.live] if self.live else []), *self.sites.values()]

    @property
    def descriptors(self) -> Iterator[int]:
        yield self.lock
        yield from self.sockets.values()
        for release in self.releases:
            for backend in release.backends:
                yield from (backend.pidfd, *backend.outputs)
            for process in release.processes:
                yield from (process.pidfd, *process.outputs)
        for client in self.clients:
            yield client.descriptor


def receive() -> Handover | None:
    """Take over from an earlier program in this process; None if there was none."""
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

    Raises `OSError` if nothing has changed; otherwise it does not return.
    """
    with (
        _inheritable([*handover.descriptors, *also]),
        os.fdopen(os.memfd_create("handover", 0), "w+b", buffering=0) as file,
    ):
        file.write(json.dumps(attrs.asdict(handover)).encode())
        file.seek(0)
        os.environ[VARIABLE] = str(file.fileno())
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        capabilities.pass_on()
        try:
            os.execv(sys.executable, argv)
        finally:
            capabilities.keep_to_ourselves()
            let_signals_through()
            del os.environ[VARIABLE]


def let_signals_through() -> None:
    """Unblock the signals, since there is a handler for them now."""
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
