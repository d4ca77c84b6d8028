"""The settings of a site: its app, and how the app is built, probed, swapped and held.

A field is all there is to a setting. Its type says what may be written and when a new value takes
effect; the string below it is its row in docs/settings.md, where "Default: ..." describes a default
that is not a plain value. Then run `python -m tests.docs`.
"""

import signal
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from blue_green.config import placeholders
from blue_green.config.effects import NextBuild, NextSwap, Now, Restart
from blue_green.config.hosts import ExactHost, HostPattern, PathPrefix
from blue_green.config.kinds import (
    Argv,
    Branch,
    Count,
    HostName,
    Link,
    Percent,
    Period,
    Ports,
    Seconds,
    Size,
    Status,
    TrialPeriod,
    UrlPath,
)
from blue_green.config.release_kinds import ReleasePath


@frozen
class ServingSettings:
    """Keys of a site that stand before its first section: the hosts of the site, and limits of its
    requests."""

    hosts: Now[tuple[HostPattern, ...]] = ()
    """The hosts whose requests the site gets: exact ones, `"*.example.com"` for all names one label
    below, or `"*"` for every host that no other site has. Case, port and a trailing dot do not
    matter. Required if there are several sites. Default: `["*"]` for the only site of a file."""
    paths: Now[tuple[PathPrefix, ...]] = ()
    """Only requests for these paths and for all below them: `/api` is for `/api/users`, but not for
    `/apiary`. The longest one decides which site gets a request. Default: all paths."""
    strip_path: Now[bool] = False
    """Whether to remove that part of the path from the request. The app finds it in
    X-Forwarded-Prefix."""
    redirect_hosts: Now[tuple[ExactHost, ...]] = ()
    """Hosts whose requests are answered with 308, to the same path on the first of `hosts`."""
    response_timeout: Now[Period] = Period(60)
    """How long a backend may take to begin its response. A backend that is busy with requests and
    does not answer probes is also left alone for this long. Default: that of `[proxy]`."""
    max_body: Now[Size] = Size(0)
    """The largest request body. 0: no limit. Default: that of `[proxy]`."""
    buffer_requests: Now[Size] = Size(64 * 2**20)
    """How much of a request's body is received before the request gets a backend, so that a slow
    upload keeps none busy. 0: nothing, for apps that read a body while it arrives. Default: that of
    `[proxy]`."""
    buffer_responses: Now[Size] = Size(64 * 2**20)
    """How much of a response is taken from its backend before a slow client has read it, so that a
    slow download keeps no backend busy. 0: nothing. Default: that of `[proxy]`."""
    backend_keepalive: Now[Seconds] = Seconds(1)
    """How long an idle connection to a backend is kept for the next request. 0: each request has a
    connection of its own, for servers that serve one connection at a time. Default: that of
    `[proxy]`."""
    error_pages: Now[Path | None] = None
    """A directory with error pages, as in `[proxy]`. Default: that of `[proxy]`."""

    @property
    def every_host(self) -> tuple[str, ...]:
        """Those of `hosts` and of `redirect_hosts`."""
        return (*self.hosts, *self.redirect_hosts)


@frozen
class AppSettings:
    """The program to run."""

    command: NextSwap[Argv] = Argv(())
    """Starts a backend, in the directory of its release. `{port}`, `{slot}`, `{revision}` and
    `{release}` (the directory) are filled in. It must listen on that port of 127.0.0.1. With
    `{socket}` instead of `{port}`, which is the path of a Unix socket, it must listen there.
    Default: none: required, unless there is `[files]`."""
    ports: NextSwap[Ports | None] = None
    """The ports of the blue and of the green slot, one for each backend in it. Default: free ports,
    which are found at the first start and remembered in the state; with `{socket}`, none."""
    backends: NextSwap[Count | None] = None
    """How many backends a slot has, if `ports` does not say so. Default: 1."""
    directory: NextSwap[ReleasePath] = ReleasePath(".")
    """The directory of the release in which `command`, `build`, `migrate` and the commands of
    `[processes]` run, for a repository with several apps. Paths in other settings stay relative to
    the top directory of the repository."""
    name: Restart[str] = ""
    """The app's name in the log and on error pages. Default: the name of the checkout's
    directory, or that of the site if there are several."""
    env: NextSwap[dict[str, str]] = field(factory=dict)
    """Environment variables for the app, `build` and `migrate`. `$PORT` (not with
    `{socket}`), `$BLUE_GREEN_SLOT`, `$BLUE_GREEN_REVISION` and `$BLUE_GREEN_RELEASE` are always set
    for the app."""
    env_file: NextSwap[tuple[Path, ...]] = ()
    """Files with further environment variables, `NAME=value` lines as in `.env`. They are read
    again at each start of a program; a later file takes precedence over an earlier one, and `env`
    over all. Their values appear neither in the log nor in `status`. See
    [environment.md](environment.md)."""
    user: Restart[str | None] = None
    """The user that the app runs as; setting it requires root. Default: the owner of the checkout
    if the supervisor runs as root, else the supervisor's own user."""
    group: Restart[str | None] = None
    """The group that the app runs as. Default: the primary group of its user."""
    port_opened_by: NextSwap[Literal["app", "anyone"]] = "app"
    """Which process must have opened a backend's port before requests are sent there. `app`: one
    that `command` started, because any user of the machine can open a free port. `anyone`: for
    ports that another program opens for the app, such as Docker's proxy for `docker run -p`. A Unix
    socket (`{socket}`) must always be opened by a program of the app's user."""
    stop_signal: NextSwap[signal.Signals] = signal.SIGTERM
    """The signal that stops a backend, sent to its whole process group."""
    stop_timeout: NextSwap[Seconds] = Seconds(10)
    """How long a backend may take to stop before its process group is killed."""

    @property
    def uses_socket(self) -> bool:
        """Whether its backends listen on Unix sockets."""
        return placeholders.is_used(self.command, "socket")


@frozen
class GitSettings:
    """The checkout whose HEAD is deployed."""

    checkout: Restart[Path] = Path()
    """A git work tree. It is watched; the app runs in releases made from it."""
    branch: Now[Branch | None] = None
    """The branch that `pull_every` fast-forwards. Default: the one that is checked out."""
    paths: Now[tuple[ReleasePath, ...]] = ()
    """Only commits that change something at or below one of these paths are deployed by
    themselves ([several apps in one repository](pushes.md#several-apps-in-one-repository)). They
    are names, not patterns. `blue-green swap` deploys any commit. Default: every commit."""
    follow: Now[Literal["fast-forward", "reset"]] = "fast-forward"
    """What `pull_every` and `[webhook]` do with the branch. `fast-forward`: if that is impossible,
    because the branch was rewritten at its origin, nothing, and `status` says so. `reset`: the
    checkout becomes what the origin has. Commits and changes of tracked files that only the
    checkout has [are lost](pushes.md#a-branch-that-is-rewritten), but never untracked files."""
    pull_every: Now[Period | None] = None
    """How often to fetch and fast-forward. Default: never; only HEAD is watched."""
    fetch_timeout: Now[Period] = Period(120)
    """How long a fetch may take, and the fetch of each submodule that the checkout lacks."""


@frozen
class ReleaseSettings:
    """How a revision becomes a release that can run."""

    build: NextBuild[Argv | None] = None
    """Runs once in each new release, before the release is started."""
    build_timeout: NextBuild[Period] = Period(600)
    """How long `build` may take, and how long `migrate` may take."""
    migrate: NextSwap[Argv | None] = None
    """Runs once for each new revision, forward only: never for a rollback or a restart. In an
    `overlap` swap it runs while the old release serves, in an `exclusive` one while nothing else of
    the app runs."""
    link: NextBuild[tuple[Link, ...]] = ()
    """Untracked paths of the checkout that each release gets as symbolic links: data that the app
    writes, and files that only this machine has. If the path does not exist, a directory (it ends
    in `/`) is created in the checkout at once, and a file when something first writes through the
    link."""
    keep: NextSwap[Count] = Count(5)
    """How many releases to keep besides the running ones and the previous one."""
    in_place: Restart[bool] = False
    """Run in the checkout itself. There are then no earlier releases to roll back to."""


@frozen
class HealthSettings:
    """How to find out whether a backend works."""

    path: Now[UrlPath] = UrlPath("/")
    """The path that a probe requests. Lines that the app logs about successful probes are left out
    of its output, if they can be recognised."""
    host: Now[HostName | None] = None
    """The probe's Host header. Default: the backend's address."""
    https: Now[bool | None] = None
    """Whether probes and `warmup` send `X-Forwarded-Proto: https`, as requests over TLS do, for
    apps that redirect all other requests. Default: whether `[proxy.tls]` is set; use `true`
    if another proxy in front terminates TLS."""
    status: Now[tuple[Status, ...]] = ()
    """Statuses that count as healthy, such as `[200, 401]`. Default: any 2xx."""
    interval: Now[Period] = Period(1)
    """Time between probes of a live backend. Candidates are probed far more often."""
    timeout: Now[Period] = Period(2)
    """How long one probe may take."""
    start_timeout: Now[Period] = Period(60)
    """How long a candidate may take to become healthy."""
    rise: Now[Count] = Count(1)
    """How many successful probes in a row make a candidate healthy."""
    fall: Now[Count] = Count(3)
    """How many failed probes in a row make a live backend unhealthy, so that it is replaced."""
    warmup: NextSwap[tuple[UrlPath, ...]] = ()
    """Paths to request from a candidate, once each and in order, between its first successful
    probes and the switch. The swap fails on a 5xx, a broken response, a redirect (its target would
    stay cold), or if all of them together take longer than `start_timeout`. Backends that are
    restarted after a crash are not warmed up, because requests wait for them."""


@frozen
class SwapSettings:
    """How one release takes over from another."""

    strategy: NextSwap[Literal["overlap", "exclusive"]] = "overlap"
    """`overlap`: the new release starts beside the live one. `exclusive`: the old one stops first,
    and requests are held meanwhile, so that two never run at once."""
    drain_timeout: NextSwap[Seconds] = Seconds(30)
    """How long the old backend may take to finish its in-flight requests. The ones left after that
    are cut: a safe request without any response yet is sent again to the new release, all others
    are ended."""
    overdue: NextSwap[Literal["cut", "call-off"]] = "cut"
    """What to do in an `exclusive` swap when requests are left after `drain_timeout`: cut them, or
    call the swap off."""
    stream_timeout: NextSwap[Seconds] = Seconds(60)
    """How long streams (WebSockets, other upgrades, and event streams) may go on after an `overlap`
    swap. They are ended one by one over that time. In an `exclusive` swap they end when the old
    backend stops."""
    soak: NextSwap[Seconds] = Seconds(5)
    """How long the old backend stays ready after the switch, to go back to if the new one fails."""
    canary: NextSwap[Percent] = Percent(0)
    """The share of clients that a new release serves before the switch, for `canary_for`, while the
    live one serves the others ([canary.md](canary.md)). It applies to new commits, pushes and
    `blue-green swap`, which can name another share. 0%: all clients at once."""
    canary_for: NextSwap[TrialPeriod] = TrialPeriod(600)
    """How long a canary lasts. It goes live then, unless it has failed before."""
    verdict: NextSwap[bool] = True
    """Whether the traffic of the new release decides, too: it is reverted in its soak if it clearly
    [fails more requests](swaps.md#verdict) than the old one did, and in a
    [canary](canary.md#the-verdict) also if it is clearly slower. Not in `exclusive` swaps."""
    verdict_requests: NextSwap[Count] = Count(20)
    """How many requests the new release must have had for a verdict."""
    verdict_margin: NextSwap[Percent] = Percent(5)
    """How much larger the share of failed requests must be, at least: with `"5%"`, a release after
    one that failed 1 % is reverted only if it certainly fails more than 6 %."""
    low_memory: NextSwap[Literal["warn", "refuse", "exclusive"]] = "warn"
    """What to do when less memory is available than the live release uses, so that a candidate may
    not fit beside it: start it and log a warning, fail the swap, or do this one swap in `exclusive`
    mode."""
    stray_data: NextSwap[Literal["refuse", "warn"]] = "refuse"
    """What to do when the app has written a database into the live release, where no other release
    would see it: fail the swap, or only log a warning. A failed swap changes nothing."""


@frozen
class HoldSettings:
    """Requests that are held while no backend can serve them."""

    timeout: Now[Period] = Period(30)
    """How long a request is held before it is answered with 503."""
    limit: Now[Count] = Count(1000)
    """How many requests may be held at once. Further ones are answered with 503 immediately."""
    ramp: Now[Count] = Count(16)
    """How many held requests are released at first; then one more for each that is answered."""
    per_client: Now[Count] = Count(100)
    """How many held requests may come from one client address (for IPv6, from one /64). Further
    ones are answered with 503 immediately. Behind a trusted proxy, the address is the one that the
    proxy reports."""


@frozen
class SiteTlsSettings:
    """TLS of one site, where `[proxy.tls]` makes the addresses speak it."""

    certificate: Now[Path | None] = None
    """A certificate for the hosts of this site, with the intermediate certificates, in PEM. Needed
    for hosts with a wildcard, for which `acme` gets none. Default: as in `[proxy.tls]`."""
    key: Now[Path | None] = None
    """The certificate's private key, in PEM and without a passphrase."""
    hsts: Now[Seconds] = Seconds(0)
    """Tells browsers to use only https for these hosts, for as long as this after each visit
    (Strict-Transport-Security), such as `"365d"`. An app that sends the header itself
    takes precedence. 0: it is not sent."""


@frozen
class WebhookSettings:
    """Where a forge (GitHub, Gitea, GitLab) reports a push, so that it is fetched immediately."""

    path: Now[UrlPath] = UrlPath("")
    """The webhook's path on the admin address. Default: `/hook`, or `/hook/NAME` for one of several
    sites."""
    secret_file: Now[Path | None] = None
    """A file with the secret, 16 to 4096 bytes, as set at the forge. It is read for each call, and
    only its owner and one group may have access to it. Default: there is no webhook."""


@frozen
class NotifySettings:
    """A command of yours that reports swaps, crashes, failed runs of processes, certificate
    problems and maintenance to you. [watching.md](watching.md#notifications) has its input."""

    command: Now[Argv | None] = None
    """Gets a JSON object on standard input. Runs as the app's user, in the directory of the file
    with the site's settings."""
    timeout: Now[Period] = Period(30)
    """How long it may run."""
