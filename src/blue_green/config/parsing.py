"""supervisor.toml -> Settings, or every problem in it at once.

cattrs structures the file, and is strict where TOML already has the type: a number in quotes
is a mistake to be told, not something to be converted.
"""

import difflib
import operator
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
from cattrs import Converter
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from blue_green.config.error import ConfigError
from blue_green.config.kinds import (
    Argv,
    Count,
    Endpoint,
    Link,
    Period,
    Ports,
    Seconds,
    Size,
    TrustedProxy,
    UrlPath,
    argv,
    choice,
    count,
    duration,
    endpoint,
    link,
    of_type,
    path,
    period,
    ports,
    shown,
    signal_,
    size,
    trusted_proxy,
    tuple_of,
    url_path,
)
from blue_green.config.process_settings import (
    ControlSettings,
    ProxySettings,
    StateSettings,
    TlsSettings,
)
from blue_green.config.renamed import with_new_names
from blue_green.config.settings import Settings
from blue_green.config.site_settings import HealthSettings, WebhookSettings
from blue_green.config.state_directory import state_directory

T = TypeVar("T")

SECTIONS: dict[str, type[Any]] = {
    **{section.name: section.type for section in attrs.fields(Settings) if section.type},
    "proxy.tls": TlsSettings,
}
"""By the names that stand in brackets."""

PLACEHOLDERS = ("port", "slot", "revision", "release")

ADMIN_PAGES = ("/", "/events", "/ready", "/live", "/metrics")


def parse(document: Mapping[str, Any], path: Path) -> Settings:
    """Settings from a TOML document that `path` held; relative paths are relative to it."""
    try:
        settings = _converter().structure(with_new_names(document), Settings)
    except ClassValidationError as error:
        raise ConfigError([f"{path}: {line}" for line in _explain(error)]) from None
    settings = _resolve(settings, document, path.absolute().parent)
    if problems := list(contradictions(settings)):
        raise ConfigError([f"{path}: {line}" for line in problems])
    return settings


# --- values ---------------------------------------------------------------------------------


def _table(converter: Converter) -> Callable[[Any, Any], dict[str, str]]:
    inner = converter.get_structure_hook(dict[str, str], cache_result=False)

    def structure(value: Any, kind: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValueError(f'must be a table such as {{ A = "b" }}, not {shown(value)}')
        table: dict[str, str] = inner(value, kind)
        return table

    return structure


def _section(converter: Converter, kind: type[T]) -> Callable[[Any, Any], T]:
    inner = converter.get_structure_hook(kind, cache_result=False)

    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a section of settings, not {shown(value)}")
        structured: T = inner(value, kind)
        return structured

    return structure


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    string = of_type(str, "a string in quotes")
    status = of_type(int, "a status such as 200")
    hooks: dict[Any, Callable[[Any, Any], Any]] = {
        str: string,
        bool: of_type(bool, "true or false"),
        Path: path,
        Seconds: duration,
        Period: period,
        Size: size,
        Count: count,
        Argv: argv,
        Ports: ports,
        UrlPath: url_path,
        signal.Signals: signal_,
        tuple[Link, ...]: tuple_of(link),
        tuple[Endpoint, ...]: tuple_of(endpoint),
        tuple[TrustedProxy, ...]: tuple_of(trusted_proxy),
        tuple[UrlPath, ...]: tuple_of(url_path),
        tuple[int, ...]: tuple_of(status),
        Literal["overlap", "exclusive"]: choice,
        Literal["cut", "call-off"]: choice,
        Literal["warn", "refuse", "exclusive"]: choice,
        Literal["refuse", "warn"]: choice,
        Literal["logfmt", "json"]: choice,
    }
    for kind, hook in hooks.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, hook)
        else:
            converter.register_structure_hook_func(partial(operator.eq, kind), hook)
    table = _table(converter)
    converter.register_structure_hook_func(partial(operator.eq, dict[str, str]), table)
    for section in SECTIONS.values():
        converter.register_structure_hook(section, _section(converter, section))
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
    depth = 2 if ".".join(path[:2]) in SECTIONS else 1
    section, keys = ".".join(path[:depth]), ".".join(path[depth:])
    return f"[{section}] {keys}" if keys else f"[{section}]"


def _unknown(key: str, section: type[Any]) -> str:
    if near := difflib.get_close_matches(key, attrs.fields_dict(section), 1):
        return f"is not known; did you mean {near[0]}?"
    for name, other in SECTIONS.items():
        if other is not section and key in attrs.fields_dict(other):
            return f"is not known here; it belongs into [{name}]"
    return f"is not known; known are: {', '.join(attrs.fields_dict(section))}"


# --- the settings as a whole ----------------------------------------------------------------


def _resolve(settings: Settings, document: Mapping[str, Any], base: Path) -> Settings:
    checkout = Path(os.path.normpath(base / settings.git.checkout))
    directory = state_directory(document, base)
    return attrs.evolve(
        settings,
        app=attrs.evolve(settings.app, name=settings.app.name or checkout.name),
        git=attrs.evolve(settings.git, checkout=checkout),
        health=_resolve_health(settings),
        state=StateSettings(directory),
        control=ControlSettings(directory / settings.control.socket),
        proxy=_resolve_proxy(settings.proxy, base),
        admin=attrs.evolve(settings.admin, listen=_resolve_endpoints(settings.admin.listen, base)),
        webhook=_resolve_webhook(settings.webhook, base),
    )


def _resolve_health(settings: Settings) -> HealthSettings:
    if settings.health.https is not None:
        return settings.health
    return attrs.evolve(settings.health, https=settings.proxy.tls is not None)


def _resolve_proxy(proxy: ProxySettings, base: Path) -> ProxySettings:
    tls = proxy.tls and attrs.evolve(
        proxy.tls,
        certificate=base / proxy.tls.certificate,
        key=base / proxy.tls.key,
        redirect=_resolve_endpoints(proxy.tls.redirect, base),
    )
    pages = None if proxy.error_pages is None else base / proxy.error_pages
    listen = _resolve_endpoints(proxy.listen, base)
    return attrs.evolve(proxy, listen=listen, error_pages=pages, tls=tls)


def _resolve_webhook(webhook: WebhookSettings, base: Path) -> WebhookSettings:
    if webhook.secret_file is None:
        return webhook
    return attrs.evolve(webhook, secret_file=base / webhook.secret_file)


def _resolve_endpoints(ends: tuple[Endpoint, ...], base: Path) -> tuple[Endpoint, ...]:
    return tuple(attrs.evolve(end, path=base / end.path) if end.path else end for end in ends)


def contradictions(settings: Settings) -> Iterator[str]:
    """What no single value shows."""
    app, release, proxy = settings.app, settings.release, settings.proxy
    webhook = settings.webhook
    yield from _misspelt_placeholders(app.command)
    for name, value in app.env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value:
            yield f"[app] env.{name}: is not a name and a value for an environment variable"
    yield from _clashes(settings)
    for status in settings.health.status:
        if not 200 <= status <= 599:
            yield f"[health] status: {status} is not a final status (200 to 599)"
    checks = [
        (bool(proxy.listen), "[proxy] listen: must name at least one address"),
        (proxy.max_head >= 1024, "[proxy] max_head: must be at least 1KiB"),
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
        (
            settings.admin.listen or not settings.admin.drain_delay,
            "[admin] drain_delay: has no meaning without [admin] listen",
        ),
        (
            settings.admin.listen or not webhook.secret_file,
            "[webhook] secret_file: needs [admin] listen, for that is where the forge calls",
        ),
        (
            webhook.path not in ADMIN_PAGES and "?" not in webhook.path,
            f"[webhook] path: must not be one of {', '.join(ADMIN_PAGES)}, and have no query",
        ),
    ]
    yield from (problem for is_fine, problem in checks if not is_fine)


def _clashes(settings: Settings) -> Iterator[str]:
    """Addresses that are meant for two things."""
    app_ports = {port for slot in settings.app.ports for port in slot}
    tls = settings.proxy.tls
    meant: dict[Endpoint, str] = {}
    for key, endpoints in (
        ("[proxy] listen", settings.proxy.listen),
        ("[proxy.tls] redirect", tls.redirect if tls else ()),
        ("[admin] listen", settings.admin.listen),
    ):
        for end, times in Counter(endpoints).items():
            if times > 1:
                yield f"{key}: {end} is named twice"
            if end.path is None and end.port in app_ports:
                yield f"{key}: port {end.port} is one of the app's own ports"
            if end in meant:
                yield f"{key}: {end} is one of those in {meant[end]}"
            meant[end] = key


def _misspelt_placeholders(command: Argv) -> Iterator[str]:
    """Only near misses: `{}` may also mean something to the app."""
    for name in re.findall(r"\{(\w+)\}", " ".join(command)):
        near = difflib.get_close_matches(name, PLACEHOLDERS, 1)
        if name not in PLACEHOLDERS and near:
            yield f"[app] command: {{{name}}} is not known; did you mean {{{near[0]}}}?"
