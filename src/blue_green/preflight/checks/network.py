"""Ports and addresses: whether they are free, and which program uses them if not."""

import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import Http2Settings
from blue_green.config.settings import Settings, SiteSettings
from blue_green.http import sockets as proxy
from blue_green.preflight.checks.context import RunningSupervisor
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned
from blue_green.site import app_sockets, found_ports
from blue_green.site.backend import HOST, check_is_free
from blue_green.source.failure import StepFailed
from blue_green.system import port_holders, unix_socket
from blue_green.system.other_sites import OtherSite
from blue_green.system.port_holders import ListeningSocket
from blue_green.system.unix_socket import LONGEST_PATH

EVERYWHERE = ("0.0.0.0", "::")


def ports(
    site: SiteSettings, others: Sequence[OtherSite], running: RunningSupervisor | None
) -> Findings:
    """Check the ports of a site's app; `others` are the other sites on this machine."""
    outgoing = found_ports.ephemeral()
    for port in (port for slot in site.app.ports or () for port in slot):
        sharing = next((other for other in others if port in other.ports), None)
        yield _shared(port, sharing) if sharing else _port(port, running, outgoing)
    yield from _sockets(site)
    if running:
        listening = port_holders.listening_sockets_of_processes(running.pids[site.name])
        yield from [*exposed(listening), *open_sockets(listening, site)]


def addresses(
    settings: Settings, running: RunningSupervisor | None, *, service_may_bind: Callable[[], bool]
) -> Findings:
    """Check the supervisor's addresses, and the control socket.

    `service_may_bind` finds out whether the service that we are checking may use all ports.
    """
    check = partial(_address, running=running, service_may_bind=service_may_bind)
    for end in settings.proxy.listen:
        yield check("[proxy] listen", end)
    for end in settings.proxy.tls.redirecting if settings.proxy.tls else ():
        yield check("[proxy.tls] redirect", end)
    for end in settings.admin.listen:
        yield check("[admin] listen", end)
        if end.host in EVERYWHERE:
            yield warned(
                "[admin] listen",
                f"{end} shows what runs here to anyone who can reach this machine",
                "use a private address, such as 127.0.0.1",
            )
    if (length := len(bytes(settings.control.socket))) > LONGEST_PATH:
        yield failed(
            "[control] socket",
            f"{settings.control.socket} is {length} bytes long, over the limit of {LONGEST_PATH} "
            "for a Unix socket's path",
            "use a shorter path, or a shorter state directory",
        )


def http2(settings: Settings) -> Findings:
    """Warn of limits for HTTP/2 that no client ever meets."""
    proxy = settings.proxy
    if proxy.tls is None and proxy.http2.enabled and proxy.http2 != Http2Settings():
        yield warned(
            "[proxy.http2]",
            "has no effect without [proxy.tls]: clients use HTTP/2 only with TLS",
            "add [proxy.tls], or remove this section",
        )


def _sockets(site: SiteSettings) -> Findings:
    """Check where the app's Unix sockets are, or note that ports are found."""
    directory = app_sockets.directory_for(site.state_directory)
    if site.app.uses_socket and not app_sockets.is_short(directory):
        yield failed("[app] command", app_sockets.too_long(directory), app_sockets.SHORTEN)
    elif site.app.uses_socket:
        yield passed("[app] command", f"the app's Unix sockets are in {directory}")
    elif site.app.ports is None and not site.is_static:
        yield passed("[app] ports", "not set, so free ports are found and remembered")


def exposed(listeners: Sequence[ListeningSocket]) -> Findings:
    """Warn of each socket of the app that other machines can reach."""
    for one in listeners:
        if not one.is_local:
            yield warned(
                "[app] command",
                f"the app listens on {one}: anyone who can reach this machine can bypass the proxy",
                "let it listen on 127.0.0.1",
            )


def open_sockets(listeners: Sequence[ListeningSocket], site: SiteSettings) -> Findings:
    """Warn of each Unix socket of the app that all users of this machine can connect to."""
    for one in listeners if site.app.uses_socket else ():
        if one.path is not None and unix_socket.is_open_to_all(one.path):
            yield warned(
                "[app] command",
                f"the app listens on {one}: every user of this machine can bypass the proxy",
                "let it listen on {socket}, which only its own user can reach",
            )


def _shared(port: int, other: OtherSite) -> Finding:
    about, advice = "[app] ports", "choose other ports here or there"
    if other.pid or other.is_service:
        return failed(about, f"{port} is also used by another site: {other}", advice)
    return warned(about, f"{port} is also named in other settings: {other}", advice)


def _port(port: int, running: RunningSupervisor | None, outgoing: range) -> Finding:
    about = "[app] ports"
    try:
        check_is_free(Endpoint(HOST, port))
    except StepFailed as failure:
        holder = port_holders.holder_of(port).pid
        if running and (port in running.ports or holder in running.all_pids):
            return passed(about, f"{port} is in use by this supervisor")
        return failed(about, str(failure), "end that program, or choose another port")
    if port in outgoing:
        return warned(
            about,
            f"{port} is free now, but an outgoing connection may take it ({found_ports.EPHEMERAL})",
            f"choose one below {outgoing.start}",
        )
    return passed(about, f"{port} is free")


def _address(
    about: str,
    end: Endpoint,
    running: RunningSupervisor | None,
    service_may_bind: Callable[[], bool],
) -> Finding:
    if running and _holder(end) == running.pid:
        return passed(about, f"{end} is in use by this supervisor")
    try:
        with proxy.listening(end, about):
            return passed(about, f"{end} is free")
    except proxy.CannotListen as error:
        advice = "end that program, or choose another address"
        if isinstance(error.__context__, PermissionError) and end.path is None:
            if service_may_bind():
                return passed(about, f"{end} is for the service, which may use all ports")
            advice = (
                "let a service run it, as in `blue-green unit`, which has "
                "CAP_NET_BIND_SERVICE; or use another port"
            )
        return failed(about, str(error).removeprefix(f"{about}: "), advice)


def _holder(end: Endpoint) -> int:
    """The pid of the process that listens there; 0 if there is none, or none that we may see."""
    if end.path is None:
        return port_holders.holder_of(end.port).pid
    with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1)
        sock.connect(str(end.path))
        who = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", who)[0]
        return pid
    return 0
