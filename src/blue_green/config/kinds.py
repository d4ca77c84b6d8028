"""Kinds of values: their types, and how each is read from what TOML has.

TOML has types of its own, so nothing is converted: a number in quotes is an error. A function that
reads a value raises `ValueError` with what the value must be.
"""

import json
import re
import signal
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, NewType, TypeVar

from attrs import frozen

from blue_green.config.units import BYTES, SECONDS

T = TypeVar("T")

Seconds = NewType("Seconds", float)
Period = NewType("Period", float)
TrialPeriod = NewType("TrialPeriod", float)
Size = NewType("Size", int)
Count = NewType("Count", int)
Budget = NewType("Budget", int)
"""A count of what every honest client does, too."""
Percent = NewType("Percent", float)
Status = NewType("Status", int)
Port = NewType("Port", int)
Ports = NewType("Ports", tuple[tuple[Port, ...], tuple[Port, ...]])
"""The ports of the blue slot and of the green one."""
Argv = NewType("Argv", tuple[str, ...])
Branch = NewType("Branch", str)
HostName = NewType("HostName", str)
Link = NewType("Link", str)
UrlPath = NewType("UrlPath", str)
Url = NewType("Url", str)
AcmeContact = NewType("AcmeContact", str)
"""A mail address, or `internal`."""
TrustedProxy = IPv4Network | IPv6Network | Literal["unix:"]


@frozen
class Endpoint:
    """An address to listen on: a TCP port, or a Unix socket if `path` is set."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def short(self) -> str:
        """The address as messages about a backend name it: `port 3000`, or `unix:/run/app.sock`."""
        return str(self) if self.path is not None else f"port {self.port}"


class BadEntries(ValueError):
    """Some entries of a table are wrong. `entries` has their names, and what is wrong with each."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in entries.items()))
        self.entries = entries


LARGEST_COUNT = 2**31 - 1
"""What fits into every field that carries a count, here or in a client."""
SMALLEST_BUDGET = 100
LONGEST_TRIAL = 30
"""Days that a canary or a preview may last."""
LONGEST_SHOWN = 200
"""Characters of a value in a message."""

# --- how a value is read --------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value in a message, or the beginning of a long one."""
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def of_type(kind: type[T], name: str) -> Callable[[Any], T]:
    def read(value: Any) -> T:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"must be {name}, not {shown(value)}")
        return value

    return read


def duration(value: Any) -> Seconds:
    """Seconds from `"500ms"`, `"2s"`, `"5m"`, `"1h"`, `"30d"` or a number that is not negative."""
    seconds: Any = value
    match = isinstance(value, str) and re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", value)
    if match:
        seconds = float(match[1]) * SECONDS[match[2]]
    ten_years = 10 * 365 * 86400
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 0 <= seconds <= ten_years:
        return Seconds(float(seconds))
    raise ValueError(f'must be a duration such as "500ms", "2s" or "5m", not {shown(value)}')


def period(value: Any) -> Period:
    seconds = duration(value)
    if not seconds:
        raise ValueError("must be more than zero")
    return Period(seconds)


def trial_period(value: Any) -> TrialPeriod:
    seconds = period(value)
    if seconds > LONGEST_TRIAL * 86400:
        raise ValueError(f"must be at most {LONGEST_TRIAL} days, not {shown(value)}")
    return TrialPeriod(seconds)


def size(value: Any) -> Size:
    match = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        match = re.fullmatch(r"([0-9]+)(B|[KMG]i?B)?", str(value))
    if match is None:
        raise ValueError(f'must be a size such as "16KiB", not {shown(value)}')
    return Size(int(match[1]) * BYTES[match[2] or "B"])


def percent(value: Any) -> Percent:
    """0 to 100 from `"10%"`."""
    match = isinstance(value, str) and re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%", value)
    if match and float(match[1]) <= 100:
        return Percent(float(match[1]))
    raise ValueError(f'must be a share such as "10%", not {shown(value)}')


def count(value: Any, least: int = 1) -> Count:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"must be a whole number of at least {least}, not {shown(value)}")
    if value > LARGEST_COUNT:
        raise ValueError(f"must be at most {LARGEST_COUNT}, not {shown(value)}")
    return Count(value)


def budget(value: Any) -> Budget:
    return Budget(count(value, SMALLEST_BUDGET))


def status(value: Any) -> Status:
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise ValueError(f"must be final statuses (200 to 599), not {shown(value)}")
    return Status(value)


def argv(value: Any) -> Argv:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError('must be a list of strings such as ["uv", "sync"], the command first')
    return Argv(tuple(value))


def ports(value: Any) -> Ports:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two ports, blue's and green's, such as [3000, 3001]")
    pair = [slot if isinstance(slot, list) else [slot] for slot in value]
    for port in [port for slot in pair for port in slot]:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ValueError(f"{shown(port)} is not a port (1 to 65535)")
    blue, green = (tuple(Port(port) for port in slot) for slot in pair)
    if not blue or len(blue) != len(green):
        raise ValueError("blue and green must have the same number of ports")
    if len(set(blue + green)) < len(blue + green):
        raise ValueError("must not contain a port twice")
    return Ports((blue, green))


def path(value: Any) -> Path:
    return Path(of_type(str, "a path in quotes")(value))


def link(value: Any) -> Link:
    text = of_type(str, "a path")(value)
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f'"{value}" must be a path inside the checkout, relative to it')
    return Link(f"{path}/" if text.endswith("/") else str(path))


def branch(value: Any) -> Branch:
    if not isinstance(value, str) or not re.fullmatch(r"[^-\s]\S*", value):
        raise ValueError(f"must be the name of a branch, not {shown(value)}")
    return Branch(value)


def host_name(value: Any) -> HostName:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]*", value):
        raise ValueError(f'must be a host name such as "blog.example.com", not {shown(value)}')
    return HostName(value)


def url_path(value: Any) -> UrlPath:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value) or "#" in value:
        raise ValueError(f'must be a path such as "/healthz", not {shown(value)}')
    return UrlPath(value)


def url(value: Any) -> Url:
    if not isinstance(value, str) or not re.fullmatch(r"https://[!-~]+", value):
        raise ValueError(f"must be a URL that begins with https://, not {shown(value)}")
    return Url(value)


def acme_contact(value: Any) -> AcmeContact:
    if not isinstance(value, str) or not re.fullmatch(r"internal|[!-9;-?A-~]+@[!-9;-?A-~]+", value):
        raise ValueError(
            f'must be a mail address such as "you@example.com", or "internal", not {shown(value)}'
        )
    return AcmeContact(value)


def endpoint(value: Any) -> Endpoint:
    text = of_type(str, "an address")(value)
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Endpoint(path=Path(text.removeprefix("unix:")))
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\[\]]+)):([0-9]+)", text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(
            f'must be "host:port", "[::]:80" or "unix:/run/app.sock", not {shown(value)}'
        )
    return Endpoint(match[1] or match[2], int(match[3]))


def trusted_proxy(value: Any) -> TrustedProxy:
    if value == "unix:":
        return "unix:"
    try:
        return ip_network(of_type(str, "an address")(value))
    except ValueError:
        raise ValueError(
            f'must be an address, a network such as "10.0.0.0/8", or "unix:", not {shown(value)}'
        ) from None


def signal_(value: Any) -> signal.Signals:
    names = signal.Signals.__members__
    if not isinstance(value, str) or value not in names or value in ("SIGKILL", "SIGSTOP"):
        raise ValueError(f'must be a signal such as "SIGTERM", not {shown(value)}')
    return names[value]


def environment(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f'must be a table such as {{ A = "b" }}, not {shown(value)}')
    wrong = {}
    for name, text in value.items():
        if not isinstance(text, str):
            wrong[name] = f"must be a string in quotes, not {shown(text)}"
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in text:
            wrong[name] = "is not a name and a value for an environment variable"
    if wrong:
        raise BadEntries(wrong)
    return dict(value)


def choice(choices: tuple[str, ...], value: Any) -> str:
    if value not in choices:
        raise ValueError(f"must be {one_of(choices)}, not {shown(value)}")
    return str(value)


def list_of(read: Callable[[Any], Any], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {shown(value)}")
    return tuple(map(read, value))


def one_of(choices: tuple[str, ...]) -> str:
    return " or ".join(f'"{choice}"' for choice in choices)
