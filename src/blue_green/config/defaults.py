"""Make paths absolute, and fill in defaults that depend on other settings."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from blue_green.config.hosts import ANY_HOST
from blue_green.config.kinds import Endpoint, UrlPath
from blue_green.config.place import Place
from blue_green.config.process_settings import ControlSettings, StateSettings, TlsSettings
from blue_green.config.sections import ROOT
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import ServingSettings, WebhookSettings
from blue_green.config.state_directory import of_site, state_directory

INHERITED = (
    "response_timeout", "max_body", "buffer_requests", "buffer_responses", "backend_keepalive",
    "error_pages",
)  # fmt: skip
"""Keys of a site whose defaults are those of `[proxy]`."""


def complete_process(
    values: Mapping[str, Any], document: Mapping[str, Any], place: Place, *, is_single: bool
) -> Settings:
    """The settings of the process, so far without sites."""
    base = place.file.absolute().parent
    directory = state_directory(document, base)
    control = values.get("control", ControlSettings())
    settings = Settings(sites=(), is_single=is_single, place=place, **_absolute(values, base))
    return attrs.evolve(
        settings,
        proxy=attrs.evolve(settings.proxy, tls=_with_redirect(settings.proxy.tls)),
        state=StateSettings(directory),
        control=ControlSettings(directory / control.socket),
    )


def complete_site(
    name: str, values: Mapping[str, Any], place: Place, process: Settings
) -> SiteSettings:
    """The settings of a site; of the only one of a file, `name` is empty."""
    file = place.file.absolute()
    sections = _absolute(values, file.parent)
    serving = {key: getattr(process.proxy, key) for key in INHERITED} | sections.pop(ROOT)
    if not name:
        serving.setdefault("hosts", (ANY_HOST,))
    site = SiteSettings(
        name=name,
        file=file,
        state_directory=of_site(process.state.directory, name),
        serving=ServingSettings(**serving),
        place=place,
        **sections,
    )
    checkout = Path(os.path.normpath(file.parent / site.git.checkout))
    title = site.app.name or name or checkout.name
    has_tls = process.proxy.tls is not None
    https = has_tls if site.health.https is None else site.health.https
    return attrs.evolve(
        site,
        name=name or title,
        app=attrs.evolve(site.app, name=title),
        git=attrs.evolve(site.git, checkout=checkout),
        health=attrs.evolve(site.health, https=https),
        webhook=_with_path(site.webhook, name),
    )


def _with_redirect(tls: TlsSettings | None) -> TlsSettings | None:
    if tls is None or tls.redirect is not None:
        return tls
    return attrs.evolve(tls, redirect=(Endpoint("::", 80),) if tls.asks_for_certificates else ())


def _with_path(webhook: WebhookSettings, name: str) -> WebhookSettings:
    default = f"/hook/{name}" if name else "/hook"
    return attrs.evolve(webhook, path=webhook.path or UrlPath(default))


def _absolute(value: Any, base: Path) -> Any:
    """A value with all paths in it made absolute: a path, an address, a list, a section or many."""
    if isinstance(value, Path):
        return base / value
    if type(value) is tuple:
        return tuple(_absolute(entry, base) for entry in value)
    if type(value) is dict:
        return {name: _absolute(entry, base) for name, entry in value.items()}
    if attrs.has(type(value)):
        names = attrs.fields_dict(type(value))
        changed = {name: _absolute(getattr(value, name), base) for name in names}
        return attrs.evolve(value, **changed)
    return value
