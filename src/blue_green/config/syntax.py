"""How each kind of value is written in the settings file: for the parser and for the docs."""

import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from attrs import frozen

from blue_green.config import hosts, kinds, release_kinds
from blue_green.config.hosts import ExactHost, HostPattern, PathPrefix
from blue_green.config.kinds import (
    AcmeContact,
    Argv,
    Branch,
    Budget,
    Count,
    Endpoint,
    HostName,
    Link,
    Percent,
    Period,
    Ports,
    Seconds,
    Size,
    Status,
    TrialPeriod,
    TrustedProxy,
    Url,
    UrlPath,
)
from blue_green.config.release_kinds import ReleasePath, Schedule
from blue_green.config.units import Unit


@frozen
class Syntax:
    """What the parser and the docs know of a type."""

    word: str
    """Its name in the docs."""
    read: Callable[[Any], Any]
    doc: str = ""
    """How to write it, unless that is obvious."""
    plural: str = ""
    """For lists of it."""
    unit: Unit = ""


SYNTAX: Mapping[Any, Syntax] = {
    Seconds: Syntax(
        "duration",
        kinds.duration,
        '`"500ms"`, `"2s"`, `"5m"`, `"1h"`, `"30d"` or a number of seconds; not negative.',
        unit="s",
    ),
    Period: Syntax("duration, not 0", kinds.period, unit="s"),
    TrialPeriod: Syntax("duration, at most 30 d", kinds.trial_period, unit="s"),
    Size: Syntax(
        "size", kinds.size, 'a number of bytes, or `"16KiB"`, `"1MB"`; not negative.', unit="B"
    ),
    Percent: Syntax("share", kinds.percent, '`"10%"`; `"0%"` to `"100%"`.', unit="%"),
    Count: Syntax("count", kinds.count, f"a whole number from 1 to {kinds.LARGEST_COUNT}."),
    Budget: Syntax(f"count, at least {kinds.SMALLEST_BUDGET}", kinds.budget),
    Status: Syntax("status", kinds.status, "a final HTTP status, 200 to 599.", "statuses"),
    Argv: Syntax(
        "command",
        kinds.argv,
        "a list of strings: a program and its arguments. No shell is involved.",
    ),
    Ports: Syntax(
        "ports",
        kinds.ports,
        "blue's and green's, `[3000, 3001]`; for two backends per slot, "
        "`[[3000, 3002], [3001, 3003]]`.",
    ),
    Branch: Syntax("string", kinds.branch),
    HostName: Syntax("string", kinds.host_name),
    HostPattern: Syntax(
        "host",
        hosts.host_pattern,
        '`"blog.example.com"`, `"*.example.com"`, `"*"` or an IP address; no scheme, no port, no '
        "path. Names that are not ASCII are written with `xn--` labels.",
        "hosts",
    ),
    ExactHost: Syntax("host", hosts.exact_host, plural="exact hosts"),
    PathPrefix: Syntax("path prefix", hosts.path_prefix, plural="path prefixes"),
    UrlPath: Syntax(
        "URL path", kinds.url_path, 'a path on a server, such as `"/healthz"`.', "URL paths"
    ),
    Url: Syntax("URL", kinds.url),
    AcmeContact: Syntax(
        "mail address", kinds.acme_contact, '`"you@example.com"`, or `"internal"`.'
    ),
    Endpoint: Syntax(
        "address",
        kinds.endpoint,
        '`"host:port"`, `"[::]:80"` for IPv6 and IPv4, or a Unix socket, `"unix:/run/app.sock"`.',
        "addresses",
    ),
    TrustedProxy: Syntax(
        "peer",
        kinds.trusted_proxy,
        'an IP address, a network such as `"10.0.0.0/8"`, or `"unix:"` for all on Unix sockets.',
        "peers",
    ),
    Path: Syntax("path", kinds.path, "a relative path is relative to the settings file.", "paths"),
    Link: Syntax("path", kinds.link, plural="paths"),
    ReleasePath: Syntax(
        "path in the release",
        release_kinds.release_path,
        "relative to the top directory of the repository.",
        "paths in the release",
    ),
    Schedule: Syntax("schedule", release_kinds.schedule),
    dict[PathPrefix, ReleasePath]: Syntax("path in the release", release_kinds.directories),
    signal.Signals: Syntax("signal", kinds.signal_),
    dict[str, str]: Syntax("table of strings", kinds.environment),
    str: Syntax("string", kinds.of_type(str, "a string in quotes")),
    bool: Syntax("true or false", kinds.of_type(bool, "true or false")),
}


def syntax_of(kind: Any) -> Syntax:
    """The kind of a setting's type: one of these, a choice of strings, or a list."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return Syntax(kinds.one_of(choices), partial(kinds.choice, choices))
    if get_origin(kind) is tuple:
        item = syntax_of(get_args(kind)[0])
        return Syntax(f"list of {item.plural}", partial(kinds.list_of, item.read))
    return SYNTAX[kind]
