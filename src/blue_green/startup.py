"""What must be right before anything is started, and what is taken only once."""

import fcntl
import logging
import os
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import evolve

from blue_green import systemd, users
from blue_green.proxy import listener as proxy
from blue_green.settings import Count, Endpoint, Settings

logger = logging.getLogger(__name__)

Sockets = Sequence[socket.socket]

REDIRECTING = "redirect"
"""`FileDescriptorName=` of a socket unit whose sockets redirect to https."""

DESCRIPTORS_OF_OUR_OWN = 150
"""What the supervisor needs besides clients and their backends' connections: for backends, git,
commands, and those who ask at the admin address.
"""


class CannotRun(Exception):
    """The supervisor cannot start; str() says why and what to do."""


def check_trust(path: Path, settings: Settings) -> None:
    """Root must not rely on files that others can write; raise `CannotRun`."""
    if os.geteuid() != 0:
        return
    if whom_to_run_as(settings)[1].uid == 0:
        logger.warning('the app runs as root: name a user in [app], such as user = "www-data"')
        return
    for relied_on in (path, settings.state.directory, settings.control.socket.parent):
        if place := users.writable_by_others(relied_on):
            raise CannotRun(
                f"{relied_on}: {place} can be written by others than root, who could so run "
                f"anything as root: chown root {place} && chmod go-w {place}"
            )


def whom_to_run_as(settings: Settings) -> tuple[users.User, users.User]:
    """Who runs git, and who runs the app."""
    try:
        owner = users.owner_of(settings.git.checkout)
        user = users.named(settings.app.user, settings.app.group, owner)
    except OSError as error:
        raise CannotRun(f"[git] checkout: {settings.git.checkout}: {error.strerror}") from None
    except users.UserError as error:
        raise CannotRun(str(error)) from None
    return owner, user


@contextmanager
def listening(settings: Settings) -> Iterator[tuple[Sockets, Sockets]]:
    """The proxy's sockets: those that systemd opened for us, or else our own.

    The second ones are those that redirect to the first.
    """
    tls = settings.proxy.tls
    try:
        inherited = systemd.inherited_sockets()
    except systemd.CannotInherit as error:
        raise CannotRun(f"sockets from systemd: {error}") from None
    if inherited:
        yield _sorted(inherited, speaks_tls=tls is not None)
        return
    with (
        _listening(settings.proxy.listen, "[proxy] listen") as serving,
        _listening(tls.redirect if tls else (), "[proxy.tls] redirect") as redirecting,
    ):
        yield serving, redirecting


@contextmanager
def listening_for_admin(settings: Settings) -> Iterator[Sockets]:
    """The sockets of the admin address, always our own."""
    with _listening(settings.admin.listen, "[admin] listen") as sockets:
        yield sockets


@contextmanager
def _listening(endpoints: Sequence[Endpoint], setting: str) -> Iterator[Sockets]:
    with ExitStack() as opened:
        try:
            sockets = [opened.enter_context(proxy.listening(end, setting)) for end in endpoints]
        except proxy.CannotListen as error:
            raise CannotRun(str(error)) from None
        yield sockets


def _sorted(
    inherited: Sequence[tuple[str, socket.socket]], *, speaks_tls: bool
) -> tuple[Sockets, Sockets]:
    """Those that serve and those that redirect, which their name tells."""
    serving = [sock for name, sock in inherited if name != REDIRECTING]
    redirecting = [sock for name, sock in inherited if name == REDIRECTING]
    if redirecting and not speaks_tls:
        raise CannotRun(f"sockets from systemd: one named {REDIRECTING} needs [proxy.tls]")
    if not serving:
        raise CannotRun(
            f"sockets from systemd: all are named {REDIRECTING}, and none is left to redirect to"
        )
    return serving, redirecting


def within_file_limit(settings: Settings) -> Settings:
    """Use all descriptors that we may have, and promise no more connections than they carry."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # A client's connection may need another one to a backend.
    room = (most - DESCRIPTORS_OF_OUR_OWN) // 2
    if settings.proxy.max_connections <= room:
        return settings
    logger.info("the limit of %d open files leaves room for %d connections", most, room)
    return evolve(settings, proxy=evolve(settings.proxy, max_connections=Count(max(room, 1))))


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock that a state directory has one of; raise `CannotRun` and say who has it."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise CannotRun(
                f"another supervisor, pid {file.read().strip() or '?'}, "
                f"runs already with the state directory {path.parent}"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
