"""Every setting, its meaning and its default: the one place that knows them.

`config.py` reads a TOML file into these classes. A string below a field is its documentation.
"""

import signal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, NewType

from attrs import field, frozen

Seconds = NewType("Seconds", float)
"""`"500ms"`, `"2s"`, `"5m"`, `"1h"` or a number of seconds; not negative."""

Period = NewType("Period", float)
"""A duration as above that is more than zero."""

Size = NewType("Size", int)
"""Bytes: a number, or `"16KiB"`, `"1MB"`; not negative."""

Count = NewType("Count", int)
"""A whole number of at least one."""

Port = NewType("Port", int)
Argv = NewType("Argv", tuple[str, ...])
"""A list of strings: a program and its arguments. No shell is involved."""

Link = NewType("Link", str)
"""A path relative to the checkout that stays inside it. A directory's may end in `/`."""

UrlPath = NewType("UrlPath", str)
"""What stands in a request line, such as `"/healthz"`."""

Ports = NewType("Ports", tuple[tuple[Port, ...], tuple[Port, ...]])
"""Blue's and green's, `[3000, 3001]`; for two backends a slot, `[[3000, 3002], [3001, 3003]]`."""

TrustedProxy = IPv4Network | IPv6Network | Literal["unix:"]
"""An IP address, a network such as `"10.0.0.0/8"`, or `"unix:"` for all on Unix sockets."""


@frozen
class Endpoint:
    """`"host:port"`, `"[::]:80"` for IPv6 and IPv4, or a Unix socket, `"unix:/run/app.sock"`."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class AppSettings:
    """The program to run."""

    command: Argv
    """What starts a backend, in its release. `{port}`, `{slot}`, `{revision}` and `{release}` (the
    directory) are filled in. It must listen on 127.0.0.1."""
    ports: Ports
    """The ports of the blue and of the green slot, one for each backend of it."""
    name: str = ""
    """Named in the log and in error pages. Default: the name of the checkout's directory."""
    env: dict[str, str] = field(factory=dict)
    """Added to the environment of the app, of `build` and of `migrate`. The app has `$PORT`,
    `$BLUE_GREEN_SLOT`, `$BLUE_GREEN_REVISION` and `$BLUE_GREEN_RELEASE` anyway."""
    user: str | None = None
    """Whom the app runs as; needs root. Default: the checkout's owner if we are root, else us."""
    group: str | None = None
    """The app's group. Default: the user's own."""
    port_opened_by: Literal["app", "anyone"] = "app"
    """Who must have opened a backend's port before requests are sent there. `app`: a process that
    `command` started, since any user of the machine can open a port that is free. `anyone`: where
    another program does it for the app, such as Docker's proxy for `docker run -p`."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Sent to a backend's whole process group when it is to stop."""
    stop_timeout: Seconds = Seconds(10)
    """How long a backend may take to stop before its group is killed."""


@frozen
class GitSettings:
    """The checkout that says what should run."""

    checkout: Path = Path()
    """A git work tree. It is watched, not served from."""
    branch: str | None = None
    """The branch that `pull_every` fast-forwards. Default: whatever is checked out."""
    pull_every: Period | None = None
    """How often to fetch and fast-forward. Default: never; only HEAD is watched."""
    fetch_timeout: Period = Period(120)
    """How long a fetch may take; also each one of a submodule that the checkout lacks."""


@frozen
class ReleaseSettings:
    """How a revision is made runnable."""

    build: Argv | None = None
    """Run once in each new release, before it is started."""
    build_timeout: Period = Period(600)
    """How long `build` may take, and `migrate`."""
    migrate: Argv | None = None
    """Run once for each new revision, forward only: never for a rollback or a restart. In `overlap`
    it runs while the old release serves, in `exclusive` when nothing else of the app runs."""
    link: tuple[Link, ...] = ()
    """Untracked paths of the checkout that every release sees, as symbolic links: what the app
    writes, and what only this machine has. One that does not exist yet is made there: a directory,
    which ends in `/`, at once, and a file by whoever first writes to it."""
    keep: Count = Count(5)
    """How many releases to keep, besides those that run and the previous one."""
    in_place: bool = False
    """Run in the checkout itself. There is then no going back to an earlier release."""


@frozen
class HealthSettings:
    """How to tell that a backend works."""

    path: UrlPath = UrlPath("/")
    """What a probe asks for. A line that the app writes about a good probe is left out of its
    output, where it can be recognised."""
    host: str | None = None
    """The probe's Host header. Default: the backend's address."""
    https: bool | None = None
    """Whether probes and `warmup` say `X-Forwarded-Proto: https`, as requests over TLS do: for apps
    that redirect all others. Default: whether `[proxy.tls]` is set; another proxy with TLS in front
    needs `true`."""
    status: tuple[int, ...] = ()
    """Statuses that count as healthy, `[200, 401]`. Default: any 2xx."""
    interval: Period = Period(1)
    """Time between probes of a live backend; a candidate is probed far more often."""
    timeout: Period = Period(2)
    """How long one probe may take."""
    start_timeout: Period = Period(60)
    """How long a candidate may take to become healthy."""
    rise: Count = Count(1)
    """How many good probes in a row make a candidate healthy."""
    fall: Count = Count(3)
    """How many bad probes in a row make a live backend one to replace."""
    warmup: tuple[UrlPath, ...] = ()
    """Paths that a candidate is asked for, once each and in order, when its probes are good and
    before it counts as healthy. A 5xx, a broken answer, a redirect (what it leads to is not warm),
    or more than `start_timeout` for all of them fails the swap. What is started again after a crash
    is not warmed: requests wait for it."""


@frozen
class SwapSettings:
    """How one release takes over from another."""

    strategy: Literal["overlap", "exclusive"] = "overlap"
    """`overlap`: start beside the live one. `exclusive`: never two at once; requests wait."""
    drain_timeout: Seconds = Seconds(30)
    """How long the old backend may take to finish its requests. What is left then is cut: sent
    again to the new release if it is safe and nothing of it was answered, or else ended."""
    overdue: Literal["cut", "call-off"] = "cut"
    """What follows in an `exclusive` swap when requests are left after `drain_timeout`: they are
    cut, or the swap is called off."""
    stream_timeout: Seconds = Seconds(60)
    """How long streams (WebSockets, other upgrades, and event streams) live on after an `overlap`;
    they are ended spread over it. In an `exclusive` swap they end when the old backend stops."""
    soak: Seconds = Seconds(5)
    """How long the old backend is kept warm, to go back to if the new one fails."""
    low_memory: Literal["warn", "refuse", "exclusive"] = "warn"
    """What to do when less memory is available than the live release uses, so that a candidate may
    not fit beside it: start it all the same, fail the swap, or go over to `exclusive` for once."""
    stray_data: Literal["refuse", "warn"] = "refuse"
    """What to do when the app has written a database into the release that would be left, where no
    other release sees it: fail the swap, which changes nothing, or only log a warning."""


@frozen
class HoldSettings:
    """The requests that wait while nothing can serve them."""

    timeout: Period = Period(30)
    """How long a request waits before it is answered 503."""
    limit: Count = Count(1000)
    """How many may wait; one more is answered 503 at once."""
    ramp: Count = Count(16)
    """How many are let go at first; then one more for each that is answered."""
    per_client: Count = Count(100)
    """How many of those that wait may come from one address (IPv6: from one /64); one more is
    answered 503 at once. The address is the one that a trusted proxy names, if there is one."""


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
class WebhookSettings:
    """Where a forge (GitHub, Gitea, GitLab) calls when something was pushed: we then fetch it."""

    path: UrlPath = UrlPath("/hook")
    """A path on the admin address."""
    secret_file: Path | None = None
    """A file with the secret that the forge was given, too. Default: there is no hook.

    It is read anew for each call. No more than its owner and a group should be able to.
    """


@frozen
class NotifySettings:
    """A command of your own that is told of each swap and each crash."""

    command: Argv | None = None
    """Gets a JSON object on standard input. Runs as the app does, beside the settings file."""
    timeout: Period = Period(30)
    """How long it may take."""


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


@frozen
class Settings:
    """A whole supervisor.toml, checked, with every path made absolute."""

    app: AppSettings
    git: GitSettings = GitSettings()
    release: ReleaseSettings = ReleaseSettings()
    health: HealthSettings = HealthSettings()
    swap: SwapSettings = SwapSettings()
    hold: HoldSettings = HoldSettings()
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    webhook: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()
    control: ControlSettings = ControlSettings()
    state: StateSettings = StateSettings()
