"""The settings of the process: its addresses, its limits for clients, and its files.

A field is all there is to a setting, as in `site_settings`.
"""

import os
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from blue_green.config.effects import Now, Restart
from blue_green.config.kinds import (
    AcmeContact,
    Budget,
    Count,
    Endpoint,
    Period,
    Seconds,
    Size,
    TrustedProxy,
    Url,
)

LETS_ENCRYPT = Url("https://acme-v02.api.letsencrypt.org/directory")
INTERNAL = "internal"
"""`acme` for a certificate authority of our own."""


@frozen
class TlsSettings:
    """Makes the addresses of `[proxy] listen` speak TLS 1.2 and 1.3.

    With `acme`, the certificates for all hosts of all sites are obtained and renewed by themselves.
    With `certificate` and `key`, one pair of files is for all sites that have none of their own in
    `[tls]`. When the files change, new connections get the new certificate within a few seconds and
    open connections go on, so certbot and lego need no hook. If the new pair cannot be used, an
    error is logged and the old pair stays in use.
    """

    certificate: Restart[Path | None] = None
    """The certificate and the intermediate certificates, in PEM."""
    key: Restart[Path | None] = None
    """The certificate's private key, in PEM and without a passphrase."""
    redirect: Restart[tuple[Endpoint, ...] | None] = None
    """Addresses that speak plain HTTP and answer with 308, to https on the requested host and the
    port of the first address in `listen`. The certificate authority of `acme` connects to port 80
    for its challenges, which are answered here, too. Of systemd's sockets, those named `redirect`
    do. Default: `["[::]:80"]` with a mail address in `acme`, else none."""
    acme: Restart[AcmeContact | None] = None
    """Your mail address, by which the account at the certificate authority is known: this obtains a
    certificate for every host, by the ACME protocol, and agrees to the authority's terms of
    service. `"internal"`: the certificates are made by an authority of this machine, for
    `localhost` and local networks."""
    directory: Restart[Url] = LETS_ENCRYPT
    """The URL of the certificate authority's ACME directory."""
    directory_root: Restart[Path | None] = None
    """A PEM file with the root certificates to trust when connecting to that URL, for a private
    authority. Default: those that public authorities are known by."""
    eab_kid: Restart[str | None] = None
    """The key identifier of the account that you have at an authority that requires external
    account binding."""
    eab_key_file: Restart[Path | None] = None
    """A file with the key of that account, as the authority gave it to you, in base64url."""
    profile: Restart[str | None] = None
    """The kind of certificate to ask for, such as `shortlived` at Let's Encrypt (six days).
    Default: the authority decides."""

    @property
    def asks_for_certificates(self) -> bool:
        """Whether `acme` is a mail address."""
        return self.acme not in (None, INTERNAL)

    @property
    def redirecting(self) -> tuple[Endpoint, ...]:
        """The addresses of `redirect`, or none."""
        return self.redirect or ()


@frozen
class Http2Settings:
    """HTTP/2 on the addresses that speak TLS, for clients that support it.

    The limits are for each connection. A client that exceeds `max_resets` or `max_control_frames`
    is attacking the server, or broken: its connection is closed with the error ENHANCE_YOUR_CALM
    (GOAWAY), and its requests are aborted. Browsers, gRPC clients and other proxies stay below.
    Changes of this section are for new connections; open ones keep what they have.
    """

    enabled: Now[bool] = True
    """Whether clients may use HTTP/2. If not, they use HTTP/1.1."""
    max_streams: Now[Count] = Count(100)
    """How many requests of one connection may be in progress at once, WebSockets included. Clients
    are informed of the limit, and wait; a request beyond it is refused, and may be repeated."""
    max_resets: Now[Budget] = Budget(1000)
    """How many requests a client may cancel within ten seconds. Malformed requests count, too. A
    browser cancels up to `max_streams` of them whenever somebody leaves a page that is loading."""
    max_control_frames: Now[Budget] = Budget(1000)
    """How many frames that neither begin a request nor carry data a client may send within ten
    seconds, such as PING, SETTINGS, PRIORITY and empty DATA frames."""


@frozen
class ProxySettings:
    """The proxy that clients connect to."""

    listen: Restart[tuple[Endpoint, ...]] = (Endpoint("127.0.0.1", 8000),)
    """Where clients connect. Sockets from systemd take precedence."""
    trusted_proxies: Now[tuple[TrustedProxy, ...]] = ()
    """Proxies in front whose header fields about the client are trusted: X-Forwarded-* of every
    name, Forwarded, X-Real-IP, X-Request-Id and the like. From all other peers these fields are
    dropped. The client's address is in X-Forwarded-For or Forwarded; where both are, and differ, it
    is unknown."""
    header_timeout: Now[Period] = Period(10)
    """How long a request's head may take from its first byte."""
    idle_timeout: Now[Period] = Period(75)
    """How long a client may be silent between requests, or stall within one."""
    backend_keepalive: Now[Seconds] = Seconds(1)
    """How long an idle connection to a backend is kept for the next request. 0: each request has a
    connection of its own, for servers that serve one connection at a time. Each site may have its
    own value."""
    max_head: Now[Size] = Size(16 * 1024)
    """The largest request head, from 1 KiB to 16 MiB. For HTTP/2, of new connections."""
    max_connections: Now[Count] = Count(10_000)
    """How many clients may be connected at once; lower if the open-file limit (`ulimit -n`) has no
    room for that many. With HTTP/2, each request in progress counts like a connection, besides the
    one that it is on. For one more, the connection that has been idle longest is closed, or else
    the one whose client has sent and received nothing for longest (of HTTP/2, only that request is
    ended). If there is neither, a connection waits in the kernel's queue, and a request of HTTP/2
    is refused, which its client repeats. With several sites, the requests of one may use as many as
    all of them leave free, at most half."""
    access_log: Now[bool] = True
    """Log one line for each request."""
    log_format: Now[Literal["logfmt", "json"]] = "logfmt"
    """The format of these lines: `name=value` pairs, or one JSON object per line."""
    tls: Restart[TlsSettings | None] = None
    """The section `[proxy.tls]`. Default: plain HTTP."""
    http2: Now[Http2Settings] = Http2Settings()
    """The section `[proxy.http2]`."""

    response_timeout: Now[Period] = Period(60)
    """How long a backend may take to begin its response. A backend that is busy with requests and
    does not answer probes is also left alone for this long. Each site may have its own value."""
    max_body: Now[Size] = Size(0)
    """The largest request body. 0: no limit. Each site may have its own value."""
    buffer_requests: Now[Size] = Size(64 * 2**20)
    """How much of a request's body is received before the request gets a backend, so that a slow
    upload keeps none busy. 0: nothing, for apps that read a body while it arrives. Each site may
    have its own value."""
    buffer_responses: Now[Size] = Size(64 * 2**20)
    """How much of a response is taken from its backend before a slow client has read it, so that a
    slow download keeps no backend busy. Clients that are fast enough, event streams and responses
    with `X-Accel-Buffering: no` are not buffered. 0: nothing is. Each site may have its own
    value."""
    buffer_memory: Now[Size] = Size(64 * 2**20)
    """How much memory all of these buffers may use. Of one message at most 256 KiB are in memory,
    and the rest is in a file. What has no room is not buffered. Of several sites, one may use as
    much as all of them leave free, at most half."""
    buffer_disk: Now[Size] = Size(2**30)
    """How much disk space all of these buffers may use; one message, a quarter of what is free.
    256 MiB of the file system are always left free."""
    buffer_directory: Now[Path | None] = None
    """A directory for the files of the buffers, which have no names and are readable by nobody
    else. It should be on a disk, and not in memory as `/tmp` often is. Default: the state
    directory."""
    error_pages: Now[Path | None] = None
    """A directory with pages for the errors that the proxy answers: `503.html` is for one status,
    `error.html` for all others, and `.txt` files are for clients that did not ask for HTML.
    `{status}`, `{phrase}` and `{why}` are filled in. `maintenance.html` and `maintenance.txt` are
    for sites in [maintenance](maintenance.md), with `{message}` and `{until}`. A page that is a
    symbolic link to outside the directory is refused. Each site may have its own directory.
    Default: built-in plain pages."""


@frozen
class AdminSettings:
    """Status for load balancers, Prometheus and operators; not for the public."""

    listen: Restart[tuple[Endpoint, ...]] = ()
    """Where the page, `/ready`, `/live` and `/metrics` are served. Anyone who can connect can see
    what runs and what it logs, so this should not be a public address. Default: nowhere."""
    drain_delay: Now[Seconds] = Seconds(0)
    """How long to go on serving after SIGTERM while `/ready` answers with 503, so that load
    balancers notice."""


@frozen
class ControlSettings:
    """Where `blue-green swap` and the other commands reach the supervisor."""

    socket: Restart[Path] = Path("control.sock")
    """A Unix socket. A relative path is relative to the state directory."""


@frozen
class StateSettings:
    """Where everything that survives a restart is kept."""

    directory: Restart[Path] = Path(".blue-green")
    """The directory of the state, the releases and the control socket. Default:
    `$STATE_DIRECTORY`, else `".blue-green"` beside the settings file."""


def builds_at_once() -> Count:
    """One on a small machine, else half the number of CPUs that we may use."""
    cpus = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    is_small = cpus <= 2 or memory < 4 * 2**30
    return Count(1 if is_small else cpus // 2)


@frozen
class BuildSettings:
    """The builds of all sites."""

    at_once: Now[Count] = field(factory=builds_at_once)
    """How many sites may build a release at once; the others wait. Default: 1 on a machine with at
    most 2 CPUs or less than 4 GiB of memory, else half the number of its CPUs."""
