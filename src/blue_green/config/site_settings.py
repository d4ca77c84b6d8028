"""The settings of a site. The string below a field is its documentation."""

import signal
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from blue_green.config.kinds import (
    Argv,
    Count,
    Link,
    Period,
    Ports,
    Seconds,
    UrlPath,
)


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
