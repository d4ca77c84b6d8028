"""Kinds of values: what each is, and how it is read from what TOML has.

Strict, since TOML knows types. Each function takes the value and the type that is wanted, as cattrs
calls them, and raises `ValueError` with what the value must be.
"""

import json
import re
import signal
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, NewType, TypeVar

from attrs import frozen

T = TypeVar("T")

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


DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
LONGEST_DURATION = 10 * 365 * 86400
SIZE = re.compile(r"(\d+)(B|[KMG]i?B)?")
SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
SIZE_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def of_type(kind: type[T], name: str) -> Callable[[Any, Any], T]:
    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"must be {name}, not {shown(value)}")
        return value

    return structure


def shown(value: Any) -> str:
    return json.dumps(value, default=str)


def duration(value: Any, _: Any = None) -> Seconds:
    """Seconds from `"500ms"`, `"2s"`, `"5m"`, `"1h"` or a number that is not negative."""
    seconds: Any = value
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        seconds = float(match[1]) * DURATION_UNITS[match[2]]
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 0 <= seconds <= LONGEST_DURATION:
        return Seconds(float(seconds))
    raise ValueError(f'must be a duration such as "500ms", "2s" or "5m", not {shown(value)}')


def period(value: Any, _: Any) -> Period:
    seconds = duration(value)
    if not seconds:
        raise ValueError("must be more than zero")
    return Period(seconds)


def size(value: Any, _: Any) -> Size:
    match = SIZE.fullmatch(str(value)) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool):
        raise ValueError(f'must be a size such as "16KiB", not {shown(value)}')
    return Size(int(match[1]) * SIZE_UNITS[match[2] or "B"])


def count(value: Any, _: Any) -> Count:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"must be a whole number of at least 1, not {shown(value)}")
    return Count(value)


def argv(value: Any, _: Any) -> Argv:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError('must be a list of strings such as ["uv", "sync"], the command first')
    return Argv(tuple(value))


def ports(value: Any, _: Any) -> Ports:
    pair = [slot if isinstance(slot, list) else [slot] for slot in list_of_two(value)]
    for port in [port for slot in pair for port in slot]:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ValueError(f"{shown(port)} is not a port (1 to 65535)")
    blue, green = (tuple(Port(port) for port in slot) for slot in pair)
    if not blue or len(blue) != len(green):
        raise ValueError("blue and green must have the same number of ports")
    if len(set(blue + green)) < len(blue + green):
        raise ValueError("the same port is named twice")
    return Ports((blue, green))


def list_of_two(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two ports, blue's and green's, such as [3000, 3001]")
    return value


def path(value: Any, _: Any) -> Path:
    return Path(of_type(str, "a path in quotes")(value, None))


def link(value: Any, _: Any) -> Link:
    text = of_type(str, "a path")(value, None)
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f'"{value}" must be a path inside the checkout, relative to it')
    return Link(f"{path}/" if text.endswith("/") else str(path))


def url_path(value: Any, _: Any) -> UrlPath:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value) or "#" in value:
        raise ValueError(f'must be a path such as "/healthz", not {shown(value)}')
    return UrlPath(value)


def endpoint(value: Any, _: Any) -> Endpoint:
    text = of_type(str, "an address")(value, None)
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Endpoint(path=Path(text.removeprefix("unix:")))
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\[\]]+)):(\d+)", text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(
            f'must be "host:port", "[::]:80" or "unix:/run/app.sock", not {shown(value)}'
        )
    return Endpoint(match[1] or match[2], int(match[3]))


def trusted_proxy(value: Any, _: Any) -> TrustedProxy:
    if value == "unix:":
        return "unix:"
    try:
        return ip_network(of_type(str, "an address")(value, None))
    except ValueError:
        raise ValueError(
            f'must be an address, a network such as "10.0.0.0/8", or "unix:", not {shown(value)}'
        ) from None


def signal_(value: Any, _: Any) -> signal.Signals:
    names = signal.Signals.__members__
    if not isinstance(value, str) or value not in names or value in ("SIGKILL", "SIGSTOP"):
        raise ValueError(f'must be a signal such as "SIGTERM", not {shown(value)}')
    return names[value]


def choice(value: Any, kind: Any) -> Any:
    if value not in kind.__args__:
        choices = " or ".join(f'"{choice}"' for choice in kind.__args__)
        raise ValueError(f"must be {choices}, not {shown(value)}")
    return value


def tuple_of(item: Callable[[Any, Any], T]) -> Callable[[Any, Any], tuple[T, ...]]:
    def structure(value: Any, _: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {shown(value)}")
        return tuple(item(entry, None) for entry in value)

    return structure
