"""Whether the sockets that systemd opened are those that the settings mean.

systemd's are used, whatever the settings say: a site that is served somewhere is better than none.
But then two places say where it listens, and whoever changes one of them should hear that the
other one counts. Only a socket whose name gives it another part than the settings do is refused: it
would speak TLS to clients that do not, or the other way round.
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
    """Sockets that are for something else than the settings say."""
    redirects = _resolved(proxy.tls.redirect if proxy.tls else ())
    for end in _addresses(serving):
        if end in redirects:
            yield f"{end} is in {REDIRECT}, and so needs FileDescriptorName=redirect"
    listens = _resolved(proxy.listen)
    for end in _addresses(redirecting):
        if end in listens:
            yield f"{end} is in {PROXY}, and so must not have FileDescriptorName=redirect"


def differences(serving: Sockets, redirecting: Sockets, proxy: ProxySettings) -> Iterator[str]:
    """Addresses in the settings that are not systemd's. One that nobody has set says nothing."""
    named = [(REDIRECT, proxy.tls.redirect if proxy.tls else (), redirecting)]
    if proxy.listen != ProxySettings().listen:
        named.append((PROXY, proxy.listen, serving))
    for key, ends, sockets in named:
        meant, opened = _resolved(ends), _addresses(sockets)
        if set(meant) != set(opened):
            yield (
                f"{key} is {_in_words(meant)}, and systemd has opened {_in_words(opened)} for it: "
                "that is used. ListenStream= of the socket unit should say the same"
            )
        elif key == PROXY and redirecting and meant[0] != opened[0]:
            yield (
                f"the first in {PROXY} is {meant[0]}, and the first socket from systemd is "
                f"{opened[0]}: that is where clients are redirected to"
            )


def _addresses(sockets: Sockets) -> list[Endpoint]:
    return [_address(sock) for sock in sockets]


def _address(sock: socket.socket) -> Endpoint:
    name = sock.getsockname()
    if isinstance(name, tuple):
        return Endpoint(name[0].partition("%")[0], name[1])
    return Endpoint(path=Path(name if isinstance(name, str) else name.decode(errors="replace")))


def _resolved(ends: Sequence[Endpoint]) -> list[Endpoint]:
    """As a socket would have them: with numbers for names, as far as they are known."""
    return [end if end.path else _looked_up(end) for end in ends]


def _looked_up(end: Endpoint) -> Endpoint:
    try:
        info = socket.getaddrinfo(
            end.host, end.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError:
        return end  # Then it is certainly not that of a socket.
    return Endpoint(str(info[0][4][0]).partition("%")[0], end.port)


def _in_words(ends: Sequence[Endpoint]) -> str:
    return ", ".join(map(str, ends)) or "nothing"
