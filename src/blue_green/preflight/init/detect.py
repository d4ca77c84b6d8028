"""Detect the kind of app in a checkout by its files. Nothing of it is run."""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from blue_green.preflight.init.app import App
from blue_green.preflight.init.checkout import Checkout
from blue_green.preflight.init.go_apps import go
from blue_green.preflight.init.node_apps import built_pages, node
from blue_green.preflight.init.procfile import procfile
from blue_green.preflight.init.python_apps import asgi_and_wsgi, datasette, django
from blue_green.preflight.init.ruby_apps import rack, rails
from blue_green.preflight.init.static_sites import documentation, generated, pages


def detect(checkout: Checkout) -> Sequence[App]:
    """The apps that it may be, the most likely first."""
    found = [app for kind in KINDS for app in kind(checkout)]
    if app := procfile(checkout, found):
        return [app]
    return found or [app for kind in FALLBACKS for app in kind(checkout)]


def spin(checkout: Checkout) -> Iterator[App]:
    if "spin.toml" not in checkout.tracked:
        return
    yield App(
        kind="Spin",
        because="detected from spin.toml",
        command=("spin", "up", "--listen", "127.0.0.1:{port}", "--file", "spin.toml"),
        build=("spin", "build") if _is_built_by_spin(checkout.text("spin.toml")) else (),
        link=checkout.with_data(checkout.links, _spin_data(checkout.text("spin.toml"))),
    )


KINDS: Sequence[Callable[[Checkout], Iterator[App]]] = (
    spin,
    rails,
    django,
    datasette,
    generated,
    asgi_and_wsgi,
    rack,
    built_pages,
    node,
    go,
)
FALLBACKS: Sequence[Callable[[Checkout], Iterator[App]]] = (documentation, pages)


def _spin_data(text: str) -> tuple[str, ...]:
    """The default directory of an app's databases in Spin."""
    return (".spin/",) if re.search(r"key_value_stores|sqlite_databases", text) else ()


def _is_built_by_spin(text: str) -> bool:
    try:
        components: Any = tomllib.loads(text).get("component", {})
    except tomllib.TOMLDecodeError:
        return True
    components = components.values() if isinstance(components, dict) else components
    return any("build" in component for component in components)
