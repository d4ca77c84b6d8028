"""The settings of the process. The string below a field is its documentation."""

from pathlib import Path
from typing import Literal

from attrs import frozen

from blue_green.config.kinds import Count, Endpoint, Period, Seconds, Size, TrustedProxy


@frozen
class TlsSettings:
    """Makes the addresses of `[proxy] listen` speak TLS, 1.2 and 1.3, with HTTP/1.1 inside.

    When the files change, new connections get the new certificate within a few seconds and open
    ones go on, so certbot or lego needs no hook. A new pair that cannot be used is an error in the
    log, and the old one stays.
    """

    certificate: Path
    """The certificate and those between it and the root, in PEM."""
    key: Path
    """The certificate's private key, in PEM and without a passphrase."""
    redirect: tuple[Endpoint, ...] = ()
    """Addresses that speak plain HTTP and answer 308: to https, the host that was asked for, and
    the port of the first address in `listen`. Of systemd's sockets, those named `redirect` do."""


@frozen
class ProxySettings:
    """The listening side."""

    listen: tuple[Endpoint, ...] = (Endpoint("127.0.0.1", 8000),)
    """Where clients connect. Sockets from systemd win."""
    trusted_proxies: tuple[TrustedProxy, ...] = ()
    """Peers that are believed what they say about the client: X-Forwarded-* of every name,
    Forwarded, X-Real-IP, X-Request-Id and the like. From all others these fields are dropped."""
    header_timeout: Period = Period(10)
    """How long a request's head may take once it has begun."""
    idle_timeout: Period = Period(75)
    """How long a client may be silent between requests, or stall within one."""
    response_timeout: Period = Period(60)
    """How long a backend may take to begin its answer. For so long it is also left alone when it
    answers no probes because it is busy with requests."""
    backend_keepalive: Seconds = Seconds(1)
    """How long an idle connection to a backend is kept for the next request. 0: each request has a
    connection of its own, which suits servers that serve one connection at a time."""
    max_head: Size = Size(16 * 1024)
    """The largest request head, in bytes."""
    max_body: Size = Size(0)
    """The largest request body, in bytes. 0: no limit."""
    max_connections: Count = Count(10_000)
    """Client connections at once; fewer, where the limit of open files has no room for the default.
    For one more, the one that has been idle for longest is closed,
    or else the one whose client has taken or sent nothing for longest; if there is none, it waits
    in the kernel."""
    access_log: bool = True
    """One line for each request."""
    log_format: Literal["logfmt", "json"] = "logfmt"
    """How that line is written: `name=value` for people and programs, or a JSON object."""
    error_pages: Path | None = None
    """A directory with pages for the errors that we answer: `503.html` is for one status,
    `error.html` for all others, and `.txt` for clients that did not ask for HTML. `{status}`,
    `{phrase}` and `{why}` are filled in. A page that is a symbolic link out of the directory is
    refused. Default: plain pages of our own."""
    tls: TlsSettings | None = None
    """The section `[proxy.tls]`. Default: plain HTTP."""


@frozen
class AdminSettings:
    """How it stands: for balancers, Prometheus and the people who run it, not for all."""

    listen: tuple[Endpoint, ...] = ()
    """Where the page, `/ready`, `/live` and `/metrics` are. Default: nowhere.

    They tell anyone who asks what runs here and what it writes, so this should not be an address
    of the internet.
    """
    drain_delay: Seconds = Seconds(0)
    """After SIGTERM, how long to serve on while `/ready` says 503, for balancers to see it."""


@frozen
class ControlSettings:
    """Where `blue-green swap` and the other commands reach the supervisor."""

    socket: Path = Path("control.sock")
    """A Unix socket, relative to the state directory."""


@frozen
class StateSettings:
    """What survives a restart."""

    directory: Path = Path(".blue-green")
    """State, releases and the control socket. Default: `$STATE_DIRECTORY`, else `".blue-green"`
    beside the file."""
