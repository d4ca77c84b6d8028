"""Apps in Node, and static sites that are built with it."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from blue_green.preflight.init.app import MUST_LISTEN, App, steps
from blue_green.preflight.init.checkout import Checkout, data_of, health_path

PLAIN = re.compile(r"node [\w./=@ -]+")
SERVES_FILES = re.compile(
    r"(?<!\S)(?:eleventy|@11ty/eleventy|astro|vite|gatsby|docusaurus|vitepress|react-scripts)"
    r"(?: (?:dev|develop|start|serve|preview|--serve))?(?!\S)"
)
"""A start script that serves the pages of a generator: for development."""
IS_SERVER = re.compile(r"""output:[ \t]*["'](?:server|hybrid)["']|@astrojs/node""")
ASTRO = ("astro.config.mjs", "astro.config.ts", "astro.config.js", "astro.config.cjs")
OUT_DIR = re.compile(r"""outDir:[ \t]*["'](?:\./)?([\w./-]+)["']""")
ELEVENTY = (
    "eleventy.config.js", "eleventy.config.mjs", "eleventy.config.cjs", ".eleventy.js",
)  # fmt: skip
ELEVENTY_OUTPUT = re.compile(r"""output:[ \t]*["'](?:\./)?([\w./-]+)["']""")
VITE = ("vite.config.js", "vite.config.ts", "vite.config.mjs", "vite.config.mts")


@frozen
class _Generator:
    """A program that builds static pages."""

    kind: str
    package: str
    output: str
    """Its directory, if its settings do not say so."""
    files: tuple[str, ...] = ()
    """Those with its settings."""
    setting: re.Pattern[str] = OUT_DIR
    command: tuple[str, ...] = ()
    """If there is no build script."""
    in_browser: bool = False
    """What it builds is usually one page, whose paths only the browser knows."""


GENERATORS: Sequence[_Generator] = (
    _Generator("Astro", "astro", "dist", ASTRO, command=("npx", "astro", "build")),
    _Generator(
        "Eleventy",
        "@11ty/eleventy",
        "_site",
        ELEVENTY,
        ELEVENTY_OUTPUT,
        ("npx", "@11ty/eleventy"),
    ),
    _Generator("Docusaurus", "@docusaurus/core", "build"),
    _Generator("Gatsby", "gatsby", "public"),
    _Generator("Create React App", "react-scripts", "build", in_browser=True),
    _Generator("Vite", "vite", "dist", VITE, in_browser=True),
)


@frozen
class _Package:
    """What is in package.json."""

    scripts: Mapping[str, Any]
    dependencies: frozenset[str]


def node(checkout: Checkout) -> Iterator[App]:
    package = _package(checkout)
    start = package.scripts.get("start")
    if not isinstance(start, str) or SERVES_FILES.search(start):
        return
    # A plain `node FILE` is run directly: npm would not pass signals on to it.
    is_plain = PLAIN.fullmatch(start)
    command = tuple(shlex.split(start)) if is_plain else (_tool(checkout), "start")
    data = data_of(checkout, r"(?!tests?/|node_modules/)([\w-]+/)*[\w.-]+\.[cm]?[jt]s")
    yield App(
        kind="Node",
        because=f'package.json has the start script "{start}"',
        command=command,
        build=_build(checkout, package),
        link=checkout.with_data(checkout.links, data),
        path=health_path(checkout.text(command[-1]) if is_plain else ""),
        advice=(MUST_LISTEN, *checkout.advice(data)),
    )


def built_pages(checkout: Checkout) -> Iterator[App]:
    """The static site of a generator that package.json names."""
    package = _package(checkout)
    generator = next((one for one in GENERATORS if one.package in package.dependencies), None)
    start = package.scripts.get("start")
    if generator is None or (generator.in_browser and _is_server(start)):
        return
    text = "".join(checkout.text(name) for name in generator.files if name in checkout.tracked)
    if generator.kind == "Astro" and IS_SERVER.search(text):
        yield _astro_server(checkout, package)
        return
    match = generator.setting.search(text)
    output = match[1].strip("/") if match and ".." not in match[1] else generator.output
    yield App(
        kind=generator.kind,
        because=f"detected {generator.package} in package.json",
        build=_build(checkout, package, generator.command),
        files={"/": output},
        fallback=f"{output}/index.html" if generator.in_browser else "",
    )


def _is_server(start: Any) -> bool:
    return isinstance(start, str) and not SERVES_FILES.search(start)


def _astro_server(checkout: Checkout, package: _Package) -> App:
    """With the adapter for Node in its standalone mode; see its documentation."""
    return App(
        kind="Astro on Node",
        because="detected an adapter in Astro's settings",
        command=("node", "dist/server/entry.mjs"),
        env={"HOST": "127.0.0.1"},
        build=_build(checkout, package, ("npx", "astro", "build")),
        link=tuple(checkout.links),
        files={"/_astro/": "dist/client/_astro"},
    )


def _package(checkout: Checkout) -> _Package:
    nothing = _Package({}, frozenset())
    if "package.json" not in checkout.tracked:
        return nothing
    try:
        package: Any = json.loads(checkout.text("package.json") or "{}")
        scripts = dict(package.get("scripts", {}))
        named = (package.get(key) or {} for key in ("dependencies", "devDependencies"))
        return _Package(scripts, frozenset(name for names in named for name in dict(names)))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return nothing


def _tool(checkout: Checkout) -> str:
    """The package manager whose lock file exists."""
    if checkout.has("pnpm-lock.yaml"):
        return "pnpm"
    return "yarn" if checkout.has("yarn.lock") else "npm"


def _build(
    checkout: Checkout, package: _Package, otherwise: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Install the packages, and run the build script or else this command."""
    tool = _tool(checkout)
    install: tuple[str, ...] = (tool, "install", "--frozen-lockfile")
    if tool == "npm":
        install = ("npm", "ci") if checkout.has("package-lock.json") else ("npm", "install")
    script = (tool, "run", "build") if "build" in package.scripts else otherwise
    return steps(install if package.dependencies else (), script)
