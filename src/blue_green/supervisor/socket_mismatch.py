"""Mismatches between the sockets that systemd opened and the addresses in the settings.

Sockets from systemd take precedence, so that the site is served in any case. But then the addresses
are set in two places, so a difference is logged: somebody may have changed the wrong place. A
socket whose name contradicts the settings is refused: it would speak TLS to clients that do not, or
the other way round.
"""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings

Sockets = Sequence[socket.socket]

PROXY = "[proxy] listen"
REDIRECT = "[proxy.tls] redirect"


def contradictions(serving: Sockets, redirecting: Sockets, proxy: ProxySettings) -> Iterator[str]:
    """Describe each socket whose purpose contradicts the settings."""
    redirects = _resolved(proxy.tls.redirecting if proxy.tls else ())
    for end in _addresses(serving):
        if end in redirects:
            yield f"{end} is in {REDIRECT}, so it needs FileDescriptorName=redirect"
    listens = _resolved(proxy.listen)
    for end in _addresses(redirecting):
        if end in listens:
            yield f"{end} is in {PROXY}, so it must not have FileDescriptorName=redirect"


def differences(serving: Sockets, redirecting: Sockets, proxy: ProxySettings) -> Iterator[str]:
    """Describe each address in the settings that differs from systemd's, except defaults."""
    named = [(REDIRECT, proxy.tls.redirecting if proxy.tls else (), redirecting)]
    if proxy.listen != ProxySettings().listen:
        named.append((PROXY, proxy.listen, serving))
    for key, ends, sockets in named:
        meant, opened = _resolved(ends), _addresses(sockets)
        if set(meant) != set(opened):
            yield (
                f"{key} is {_in_words(meant)}, but systemd opened {_in_words(opened)}, which takes "
                "precedence: set ListenStream= of the socket unit to the same"
            )
        elif key == PROXY and redirecting and meant[0] != opened[0]:
            yield (
                f"the first address in {PROXY} is {meant[0]}, but the first socket from systemd is "
                f"{opened[0]}: clients are redirected to that one"
            )


def _addresses(sockets: Sockets) -> list[Endpoint]:
    return [_address(sock) for sock in sockets]


def _address(sock: socket.socket) -> Endpoint:
    name = sock.getsockname()
    if isinstance(name, tuple):
        return Endpoint(name[0].partition("%")[0], name[1])
    return Endpoint(path=Path(name if isinstance(name, str) else name.decode(errors="replace")))


def _resolved(ends: Sequence[Endpoint]) -> list[Endpoint]:
    """Addresses as sockets have them: with host names resolved, where that is possible."""
    return [end if end.path else _looked_up(end) for end in ends]


def _looked_up(end: Endpoint) -> Endpoint:
    try:
        info = socket.getaddrinfo(
            end.host, end.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError:
        return end  # Then it is not the address of any socket.
    return Endpoint(str(info[0][4][0]).partition("%")[0], end.port)


def _in_words(ends: Sequence[Endpoint]) -> str:
    return ", ".join(map(str, ends)) or "nothing"
