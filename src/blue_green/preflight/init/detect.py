"""Detect the kind of app in a checkout by its files."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from blue_green.preflight.init.checkout import App, Checkout, data_of, health_path
from blue_green.preflight.init.python_apps import asgi_and_wsgi, datasette, django

PAGES = ("public", "dist", "_site", "site", "build", "docs", ".")


def detect(checkout: Checkout) -> Sequence[App]:
    """The apps that it may be, the most likely first."""
    found = [app for kind in KINDS for app in kind(checkout)]
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


def node(checkout: Checkout) -> Iterator[App]:
    try:
        package: Any = json.loads(checkout.text("package.json") or "{}")
        scripts = dict(package.get("scripts", {}))
    except (ValueError, TypeError, AttributeError):
        return
    if not isinstance(start := scripts.get("start"), str):
        return
    tool, install = _installer(checkout)
    # A plain `node FILE` is run directly: npm would not pass signals on to it.
    is_plain = re.fullmatch(r"node [\w./=@ -]+", start)
    command = tuple(shlex.split(start)) if is_plain else (tool, "start")
    steps = [install] if package.get("dependencies") or package.get("devDependencies") else []
    steps += [f"{tool} run build"] if "build" in scripts else []
    data = data_of(checkout, r"(?!tests?/|node_modules/)([\w-]+/)*[\w.-]+\.[cm]?[jt]s")
    yield App(
        kind="Node",
        because=f'package.json has the start script "{start}"',
        command=command,
        build=("sh", "-c", " && ".join(steps))
        if len(steps) > 1
        else tuple(" ".join(steps).split()),
        link=checkout.with_data(checkout.links, data),
        path=health_path(checkout.text(command[-1]) if is_plain else ""),
        advice=(
            "it must listen on $PORT, and should listen on 127.0.0.1 only",
            *checkout.advice(data),
        ),
    )


def static(checkout: Checkout) -> Iterator[App]:
    """Static pages, without a program."""
    directory = next((name for name in PAGES if checkout.has(f"{name}/index.html")), None)
    if directory is None:
        return
    words = ["http.server", "{port}", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]
    where = f"{directory}/index.html".removeprefix("./")
    yield App(
        kind="static files",
        because=f"detected from {where}",
        command=("python3", "-m", *words, "--directory", directory),
        advice=("Python's built-in server is for light traffic only; use a better one for more",),
    )


KINDS: Sequence[Callable[[Checkout], Iterator[App]]] = (
    spin,
    django,
    datasette,
    asgi_and_wsgi,
    node,
)
FALLBACKS: Sequence[Callable[[Checkout], Iterator[App]]] = (static,)


def _installer(checkout: Checkout) -> tuple[str, str]:
    """The package manager whose lock file exists, and the command that installs from it."""
    if checkout.has("pnpm-lock.yaml"):
        return "pnpm", "pnpm install --frozen-lockfile"
    if checkout.has("yarn.lock"):
        return "yarn", "yarn install --frozen-lockfile"
    return "npm", "npm ci" if checkout.has("package-lock.json") else "npm install"


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
