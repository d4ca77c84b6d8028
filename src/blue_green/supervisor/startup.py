"""Start-up: checks, listening sockets, the open-file limit, and the lock on the state directory."""

import fcntl
import logging
import os
import resource
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define, evolve

from blue_green.config.kinds import Count, Endpoint
from blue_green.config.process_settings import ProxySettings
from blue_green.config.settings import Settings, SiteSettings
from blue_green.control import server as control
from blue_green.http import sockets as proxy
from blue_green.proxy.buffer_space import CONNECTIONS_PER_FILE, MOST_FILES
from blue_green.source.releases import DIRECTORY
from blue_green.supervisor import socket_mismatch
from blue_green.supervisor.socket_mismatch import PROXY, REDIRECT
from blue_green.system import files, secret, systemd, users

logger = logging.getLogger(__name__)

Sockets = Sequence[socket.socket]

ADMIN, CONTROL = "[admin] listen", "[control] socket"

REDIRECTING = "redirect"
"""`FileDescriptorName=` of a socket unit whose sockets redirect to https."""

NAME_A_USER = 'name a user in [app], such as user = "www-data"'
LONGEST_PID = 20
"""Characters."""

DESCRIPTORS_OF_OUR_OWN = 150
DESCRIPTORS_OF_A_SITE = 12
"""Descriptors that are not connections of clients or to backends: for the backends themselves, git,
commands, and the admin address.
"""

PLENTY = 1000
"""Simultaneous connections that suffice for most sites."""


class CannotRun(Exception):
    """The supervisor cannot start; str() says why and what to do."""


def check_trust(path: Path, settings: Settings) -> None:
    """As root, raise `CannotRun` if another user can write the files of the process."""
    # With several sites, another user might be the one who adds a site that runs as root.
    if os.geteuid() == 0 and not (settings.is_single and _runs_as_root(settings.sites[0])):
        _check_not_writable(path, settings.state.directory, settings.control.socket.parent)


def check_site_trust(site: SiteSettings) -> None:
    """As root, raise `CannotRun` if another user can write the file or state of one of several.

    The file says which user the site runs as, so it could name root.
    """
    if os.geteuid() == 0:
        _check_not_writable(site.file, site.state_directory)


def _runs_as_root(site: SiteSettings) -> bool:
    try:
        return users_to_run_as(site)[1].uid == 0
    except CannotRun:
        return False


def _check_not_writable(*paths: Path) -> None:
    for relied_on in paths:
        if problem := users.why_not_trusted(relied_on):
            raise CannotRun(problem)


def as_root(site: SiteSettings) -> str:
    """What root does if it is the user of the app, in words."""
    if site.is_static:
        return "build runs as root, and root reads the files of the site"
    return "the app runs as root"


def warn_root(site: SiteSettings) -> None:
    """As root, warn about an app that runs as root, and about missing capabilities."""
    if os.geteuid() != 0:
        return
    if _runs_as_root(site):
        logger.warning("%s: %s", as_root(site), NAME_A_USER)
    elif problem := lacks_capabilities():
        logger.warning("%s", problem)


def lacks_capabilities() -> str:
    """A warning if we are root, but lack capabilities that an app of another user takes."""
    missing = users.missing_capabilities(Path("/proc/self/status").read_text())
    if not missing:
        return ""
    return (
        f"root lacks {', '.join(missing)} here: making releases, and finding and ending processes "
        "that the app leaves behind, may fail; add them to CapabilityBoundingSet="
    )


def check_secret(settings: SiteSettings) -> None:
    """Raise `CannotRun` if the push hook has no usable secret."""
    file = settings.webhook.secret_file
    if file is None:
        return
    try:
        secret.read(file)
    except secret.BadSecret as error:
        raise CannotRun(f"[webhook] secret_file: {error}") from None
    if files.is_readable_by_all(file):
        logger.warning("[webhook] secret_file: all users can read it: chmod o-r %s", file)


def users_to_run_as(settings: SiteSettings) -> tuple[users.User, users.User]:
    """The users that git and the app run as."""
    owner = _owner(settings)
    try:
        return owner, users.named(settings.app.user, settings.app.group, owner)
    except users.UserError as error:
        raise CannotRun(str(error)) from None


def _owner(settings: SiteSettings) -> users.User:
    """The owner of the checkout; if that is gone, of the releases, who is the same."""
    try:
        return users.owner_of(settings.git.checkout)
    except OSError as error:
        releases = settings.state_directory / DIRECTORY
        if releases.is_dir():
            return users.owner_of(releases)
        raise CannotRun(f"[git] checkout: {settings.git.checkout}: {error.strerror}") from None


@define
class Listening:
    """All listening sockets."""

    proxy: Sockets
    redirecting: Sockets
    """They redirect to those of the proxy."""
    admin: Sockets
    control: socket.socket
    from_systemd: bool

    def named(self, settings: Settings) -> dict[str, int]:
        """The descriptors of sockets that we opened, by setting and address."""
        groups = [(ADMIN, settings.admin.listen, self.admin)]
        if not self.from_systemd:
            tls = settings.proxy.tls
            groups += [
                (PROXY, settings.proxy.listen, self.proxy),
                (REDIRECT, tls.redirecting if tls else (), self.redirecting),
            ]
        found = {
            f"{setting} {end}": sock.fileno()
            for setting, endpoints, sockets in groups
            for end, sock in zip(endpoints, sockets, strict=True)
        }
        return {**found, CONTROL: self.control.fileno()}


@contextmanager
def listening(
    settings: Settings, handed: MutableMapping[str, int] | None = None
) -> Iterator[Listening]:
    """The sockets from `handed` or from systemd, or else new ones; raise `CannotRun`."""
    tls = settings.proxy.tls
    handed = {} if handed is None else handed
    with ExitStack() as stack:
        try:
            serving, redirecting = _inherited(settings)
            from_systemd = bool(serving)
            if not from_systemd:
                serving = _opened(stack, settings.proxy.listen, PROXY, handed)
                redirecting = _opened(stack, tls.redirecting if tls else (), REDIRECT, handed)
            admin = _opened(stack, settings.admin.listen, ADMIN, handed)
            path = settings.control.socket
            own = stack.enter_context(control.listening(path, handed.pop(CONTROL, None)))
        except (proxy.CannotListen, control.ControlSocketError) as error:
            raise CannotRun(str(error)) from None
        for descriptor in handed.values():
            os.close(descriptor)  # The settings do not name it any more.
        yield Listening(serving, redirecting, admin, own, from_systemd)


def _opened(
    stack: ExitStack,
    endpoints: Sequence[Endpoint],
    setting: str,
    handed: MutableMapping[str, int],
) -> Sockets:
    return [
        stack.enter_context(proxy.listening(end, setting, handed.pop(f"{setting} {end}", None)))
        for end in endpoints
    ]


def _inherited(settings: Settings) -> tuple[Sockets, Sockets]:
    try:
        inherited = systemd.inherited_sockets()
    except systemd.CannotInherit as error:
        raise CannotRun(f"sockets from systemd: {error}") from None
    if not inherited:
        return (), ()
    serving, redirecting = sort_by_name(inherited, speaks_tls=settings.proxy.tls is not None)
    for problem in socket_mismatch.contradictions(serving, redirecting, settings.proxy):
        raise CannotRun(f"sockets from systemd: {problem}")
    for difference in socket_mismatch.differences(serving, redirecting, settings.proxy):
        logger.warning("%s", difference)
    return serving, redirecting


def sort_by_name(
    inherited: Sequence[tuple[str, socket.socket]], *, speaks_tls: bool
) -> tuple[Sockets, Sockets]:
    """The sockets that serve and those that redirect, by their names."""
    serving = [sock for name, sock in inherited if name != REDIRECTING]
    redirecting = [sock for name, sock in inherited if name == REDIRECTING]
    if redirecting and not speaks_tls:
        raise CannotRun(f"sockets from systemd: one named {REDIRECTING} needs [proxy.tls]")
    if not serving:
        raise CannotRun(
            f"sockets from systemd: all are named {REDIRECTING}, so there is none to redirect to"
        )
    return serving, redirecting


def within_file_limit(settings: Settings) -> ProxySettings:
    """Raise the open-file limit; the proxy's settings with `max_connections` that it allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ours = DESCRIPTORS_OF_OUR_OWN + DESCRIPTORS_OF_A_SITE * (len(settings.sites) - 1)
    room = _connections_in(most - ours)
    requested = settings.proxy.max_connections
    if requested <= room:
        return settings.proxy
    if lacks_room(requested, room):
        logger.info("the open-file limit of %d allows %d connections", most, room)
    return evolve(settings.proxy, max_connections=Count(max(room, 1)))


def _connections_in(descriptors: int) -> int:
    """How many clients may be connected with so many descriptors.

    Each may need another connection, to a backend, and some of them a file as a buffer.
    """
    with_few_files = descriptors * CONNECTIONS_PER_FILE // (2 * CONNECTIONS_PER_FILE + 1)
    with_most_files = (descriptors - MOST_FILES) // 2
    return max(with_few_files, with_most_files)


def lacks_room(requested: int, room: int) -> bool:
    """Whether to report that the limit allows fewer connections than the settings.

    The default means as many as possible, so it is only reported if these are few.
    """
    return room < (PLENTY if requested == ProxySettings().max_connections else requested)


@contextmanager
def only_one(path: Path, handed: int | None = None) -> Iterator[int]:
    """Hold the lock of the state directory; raise `CannotRun` if another process holds it.

    Yields its descriptor; `handed` is one that already holds it.
    """
    with os.fdopen(_lock_file(path) if handed is None else handed, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise CannotRun(
                f"another supervisor, pid {file.read(LONGEST_PID).strip() or '?'}, "
                f"already runs with the state directory {path.parent}"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield file.fileno()


def _lock_file(path: Path) -> int:
    """A descriptor of the lock file; raise `CannotRun`."""
    try:
        return files.open_own(path, os.O_RDWR | os.O_APPEND)
    except PermissionError as error:
        raise CannotRun(f"cannot open {path}: {error.strerror}") from None
    except OSError as error:
        raise CannotRun(f"cannot use {path} as lock file, remove it: {error.strerror}") from None
