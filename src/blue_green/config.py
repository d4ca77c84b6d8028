"""supervisor.toml -> Settings, or every problem in it at once.

cattrs structures the file, and is strict where TOML already has the type: a number in quotes
is a mistake to be told, not something to be converted.
"""

import difflib
import json
import operator
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
from cattrs import Converter
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from blue_green import locate
from blue_green import settings as s
from blue_green.locate import ConfigError

T = TypeVar("T")

LATER = {
    "admin": "the [admin] section",
    "webhook": "the [webhook] section",
    "notify": "the notify command",
    "tls": "TLS",
    "error_pages": "error_pages",
    "warmup": "warmup",
}
"""Keys that are planned. They are refused by name, so that nobody relies on them unawares."""

PLACEHOLDERS = ("port", "slot", "revision", "release")

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
LONGEST_DURATION = 10 * 365 * 86400
SIZE = re.compile(r"(\d+)(B|[KMG]i?B)?")
SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
SIZE_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def load(path: Path) -> s.Settings:
    """Read and check the file; raise `ConfigError` with all that is wrong with it."""
    return parse(locate.read(path), path)


def parse(document: Mapping[str, Any], path: Path) -> s.Settings:
    """Settings from a TOML document that `path` held; relative paths are relative to it."""
    try:
        settings = _converter().structure(document, s.Settings)
    except ClassValidationError as error:
        raise ConfigError([f"{path}: {line}" for line in _explain(error)]) from None
    settings = _resolve(settings, document, path.absolute().parent)
    if problems := list(_contradictions(settings)):
        raise ConfigError([f"{path}: {line}" for line in problems])
    return settings


# --- values ---------------------------------------------------------------------------------


def _of_type(kind: type[T], name: str) -> Callable[[Any, Any], T]:
    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"must be {name}, not {_shown(value)}")
        return value

    return structure


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)


def duration(value: Any, _: Any = None) -> s.Seconds:
    """Seconds from `"500ms"`, `"2s"`, `"5m"`, `"1h"` or a number that is not negative."""
    seconds: Any = value
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        seconds = float(match[1]) * DURATION_UNITS[match[2]]
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 0 <= seconds <= LONGEST_DURATION:
        return s.Seconds(float(seconds))
    raise ValueError(f'must be a duration such as "500ms", "2s" or "5m", not {_shown(value)}')


def _period(value: Any, _: Any) -> s.Period:
    seconds = duration(value)
    if not seconds:
        raise ValueError("must be more than zero")
    return s.Period(seconds)


def _size(value: Any, _: Any) -> s.Size:
    match = SIZE.fullmatch(str(value)) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool):
        raise ValueError(f'must be a size such as "16KiB", not {_shown(value)}')
    return s.Size(int(match[1]) * SIZE_UNITS[match[2] or "B"])


def _count(value: Any, _: Any) -> s.Count:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"must be a whole number of at least 1, not {_shown(value)}")
    return s.Count(value)


def _argv(value: Any, _: Any) -> s.Argv:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError('must be a list of strings such as ["uv", "sync"], the command first')
    return s.Argv(tuple(value))


def _ports(value: Any, _: Any) -> s.Ports:
    pair = [slot if isinstance(slot, list) else [slot] for slot in _list_of_two(value)]
    for port in [port for slot in pair for port in slot]:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ValueError(f"{_shown(port)} is not a port (1 to 65535)")
    blue, green = (tuple(s.Port(port) for port in slot) for slot in pair)
    if not blue or len(blue) != len(green):
        raise ValueError("blue and green must have the same number of ports")
    if len(set(blue + green)) < len(blue + green):
        raise ValueError("the same port is named twice")
    return s.Ports((blue, green))


def _list_of_two(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two ports, blue's and green's, such as [3000, 3001]")
    return value


def _path(value: Any, _: Any) -> Path:
    return Path(_of_type(str, "a path in quotes")(value, None))


def _link(value: Any, _: Any) -> s.Link:
    path = Path(_of_type(str, "a path")(value, None))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f'"{value}" must be a path inside the checkout, relative to it')
    return s.Link(str(path))


def _url_path(value: Any, _: Any) -> s.UrlPath:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value) or "#" in value:
        raise ValueError(f'must be a path such as "/healthz", not {_shown(value)}')
    return s.UrlPath(value)


def _endpoint(value: Any, _: Any) -> s.Endpoint:
    text = _of_type(str, "an address")(value, None)
    if text.startswith("unix:") and len(text) > len("unix:"):
        return s.Endpoint(path=Path(text.removeprefix("unix:")))
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\[\]]+)):(\d+)", text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(
            f'must be "host:port", "[::]:80" or "unix:/run/app.sock", not {_shown(value)}'
        )
    return s.Endpoint(match[1] or match[2], int(match[3]))


def _trusted_proxy(value: Any, _: Any) -> s.TrustedProxy:
    if value == "unix:":
        return "unix:"
    try:
        return ip_network(_of_type(str, "an address")(value, None))
    except ValueError:
        raise ValueError(
            f'must be an address, a network such as "10.0.0.0/8", or "unix:", not {_shown(value)}'
        ) from None


def _table(converter: Converter) -> Callable[[Any, Any], dict[str, str]]:
    inner = converter.get_structure_hook(dict[str, str], cache_result=False)

    def structure(value: Any, kind: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValueError(f'must be a table such as {{ A = "b" }}, not {_shown(value)}')
        table: dict[str, str] = inner(value, kind)
        return table

    return structure


def _signal(value: Any, _: Any) -> signal.Signals:
    names = signal.Signals.__members__
    if not isinstance(value, str) or value not in names or value in ("SIGKILL", "SIGSTOP"):
        raise ValueError(f'must be a signal such as "SIGTERM", not {_shown(value)}')
    return names[value]


def _choice(value: Any, kind: Any) -> Any:
    if value not in kind.__args__:
        choices = " or ".join(f'"{choice}"' for choice in kind.__args__)
        raise ValueError(f"must be {choices}, not {_shown(value)}")
    return value


def _tuple_of(item: Callable[[Any, Any], T]) -> Callable[[Any, Any], tuple[T, ...]]:
    def structure(value: Any, _: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {_shown(value)}")
        return tuple(item(entry, None) for entry in value)

    return structure


def _section(converter: Converter, kind: type[T]) -> Callable[[Any, Any], T]:
    inner = converter.get_structure_hook(kind, cache_result=False)

    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a section of settings, not {_shown(value)}")
        structured: T = inner(value, kind)
        return structured

    return structure


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    string = _of_type(str, "a string in quotes")
    status = _of_type(int, "a status such as 200")
    hooks: dict[Any, Callable[[Any, Any], Any]] = {
        str: string,
        bool: _of_type(bool, "true or false"),
        Path: _path,
        s.Seconds: duration,
        s.Period: _period,
        s.Size: _size,
        s.Count: _count,
        s.Argv: _argv,
        s.Ports: _ports,
        s.UrlPath: _url_path,
        signal.Signals: _signal,
        tuple[s.Link, ...]: _tuple_of(_link),
        tuple[s.Endpoint, ...]: _tuple_of(_endpoint),
        tuple[s.TrustedProxy, ...]: _tuple_of(_trusted_proxy),
        tuple[int, ...]: _tuple_of(status),
        Literal["overlap", "exclusive"]: _choice,
    }
    for kind, hook in hooks.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:
            converter.register_structure_hook_func(partial(operator.eq, kind), hook)
    table = _table(converter)
    converter.register_structure_hook_func(partial(operator.eq, dict[str, str]), table)
    for section in attrs.fields(s.Settings):
        assert section.type is not None
        converter.register_structure_hook(section.type, _section(converter, section.type))
    return converter


# --- what is wrong, in words ----------------------------------------------------------------


def _explain(error: BaseException, path: tuple[str, ...] = ()) -> Iterator[str]:
    """A line for each leaf of cattrs' tree of errors, with the dotted key that it is about."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        with_notes, without = error.group_exceptions()
        for inner, note in with_notes:
            name = getattr(note, "name", None) or str(getattr(note, "index", ""))
            yield from _explain(inner, (*path, name))
        for inner in without:
            yield from _explain(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield f"{_dotted(*path, key)}: {_unknown(key, error.cl)}"
    elif isinstance(error, KeyError):
        yield f"{_dotted(*path)}: is missing, and has no default"
    else:
        yield f"{_dotted(*path)}: {error}"


def _dotted(*path: str) -> str:
    section, *keys = path
    return f"[{section}] {'.'.join(keys)}" if keys else f"[{section}]"


def _unknown(key: str, section: type[Any]) -> str:
    if key in LATER:
        return f"{LATER[key]} is not available yet in this version; take it out"
    if near := difflib.get_close_matches(key, attrs.fields_dict(section), 1):
        return f"is not known; did you mean {near[0]}?"
    for other in attrs.fields(s.Settings):
        assert other.type is not None
        if other.type is not section and key in attrs.fields_dict(other.type):
            return f"is not known here; it belongs into [{other.name}]"
    return f"is not known; known are: {', '.join(attrs.fields_dict(section))}"


# --- the settings as a whole ----------------------------------------------------------------


def _resolve(settings: s.Settings, document: Mapping[str, Any], base: Path) -> s.Settings:
    checkout = Path(os.path.normpath(base / settings.git.checkout))
    directory = locate.state_directory(document, base)
    endpoints = [
        attrs.evolve(end, path=base / end.path) if end.path else end
        for end in settings.proxy.listen
    ]
    return attrs.evolve(
        settings,
        app=attrs.evolve(settings.app, name=settings.app.name or checkout.name),
        git=attrs.evolve(settings.git, checkout=checkout),
        state=s.State(directory),
        control=s.Control(directory / settings.control.socket),
        proxy=attrs.evolve(settings.proxy, listen=tuple(endpoints)),
    )


def _contradictions(settings: s.Settings) -> Iterator[str]:
    """What no single value shows."""
    app, release, proxy = settings.app, settings.release, settings.proxy
    yield from _misspelt_placeholders(app.command)
    for name, value in app.env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value:
            yield f"[app] env.{name}: is not a name and a value for an environment variable"
    app_ports = {port for slot in app.ports for port in slot}
    for end, count in Counter(proxy.listen).items():
        if count > 1:
            yield f"[proxy] listen: {end} is named twice"
        if end.path is None and end.port in app_ports:
            yield f"[proxy] listen: port {end.port} is one of the app's own ports"
    for status in settings.health.status:
        if not 200 <= status <= 599:
            yield f"[health] status: {status} is not a final status (200 to 599)"
    checks = [
        (bool(proxy.listen), "[proxy] listen: must name at least one address"),
        (proxy.max_head >= 1024, "[proxy] max_head: must be at least 1KiB"),
        (
            not release.migrate or settings.swap.strategy == "exclusive",
            '[release] migrate: needs [swap] strategy = "exclusive"',
        ),
        (
            not (release.in_place and release.link),
            "[release] link: has no meaning with in_place = true",
        ),
        (
            re.fullmatch(r"[!-~]*", settings.health.host or ""),
            "[health] host: must be a host name such as blog.example.com",
        ),
        (
            settings.git.branch is None or re.fullmatch(r"[^-\s]\S*", settings.git.branch),
            "[git] branch: must be the name of a branch",
        ),
    ]
    yield from (problem for is_fine, problem in checks if not is_fine)


def _misspelt_placeholders(command: s.Argv) -> Iterator[str]:
    """Only near misses: `{}` may also mean something to the app."""
    for name in re.findall(r"\{(\w+)\}", " ".join(command)):
        near = difflib.get_close_matches(name, PLACEHOLDERS, 1)
        if name not in PLACEHOLDERS and near:
            yield f"[app] command: {{{name}}} is not known; did you mean {{{near[0]}}}?"
