"""Apps in Go."""

import re
from collections.abc import Iterator
from itertools import islice

from blue_green.preflight.init.app import MUST_LISTEN, App
from blue_green.preflight.init.checkout import Checkout, data_of, health_path
from blue_green.preflight.init.sqlite import with_sqlite

MAIN = re.compile(r"(?m)^package[ \t]+main\b")
MODULE = re.compile(r"(?m)^module[ \t]+(\S+)")
ADDRESS = re.compile(
    r"""flag\.String(?:Var)?\((?:&[\w.]{1,60}, )?"(addr|address|listen|bind|http)","""
)
NUMBER = re.compile(r"""flag\.(?:Int|Uint|String)(?:Var)?\((?:&[\w.]{1,60}, )?"(port|p)",""")
SERVES = re.compile(r"ListenAndServe|net\.Listen|\.Run\(|\.Start\(|\.Listen\(")
MOST_FILES = 200


def go(checkout: Checkout) -> Iterator[App]:
    """One app for each main package of the module: at its top, or in cmd/."""
    if "go.mod" not in checkout.tracked:
        return
    packages: dict[str, str] = {}
    for file in islice(checkout.of_its_own(r"(cmd/[\w.-]+/)?[\w.-]+\.go"), MOST_FILES):
        text = checkout.text(file)
        if not file.endswith("_test.go") and MAIN.search(text):
            place = file.rpartition("/")[0]
            packages[place] = packages.get(place, "") + text
    # A module has commands for other purposes, too: those that seem to serve come first.
    by_likelihood = sorted(packages, key=lambda place: not SERVES.search(packages[place]))
    for place in by_likelihood:
        yield _of_package(checkout, place, packages[place])


def _of_package(checkout: Checkout, place: str, text: str) -> App:
    name = place.rpartition("/")[2] or _module(checkout)
    data = data_of(checkout, r"([\w-]+/)*[\w.-]+\.go")
    if match := ADDRESS.search(text):
        options: tuple[str, ...] = (f"-{match[1]}", "127.0.0.1:{port}")
    elif match := NUMBER.search(text):
        options = (f"-{match[1]}", "{port}")
    else:
        options = ()
    app = App(
        kind="Go",
        because=f"detected package main in {place or 'go.mod'}",
        command=(f"bin/{name}", *options),
        build=("go", "build", "-o", f"bin/{name}", f"./{place}" if place else "."),
        link=checkout.with_data(checkout.links, data),
        path=health_path(text),
        advice=() if options else (MUST_LISTEN,),
    )
    return with_sqlite(app, checkout, data)


def _module(checkout: Checkout) -> str:
    """The last part of the module's path that names it, as `go build` names its program."""
    match = MODULE.search(checkout.text("go.mod"))
    parts = match[1].split("/") if match else ["app"]
    if len(parts) > 1 and re.fullmatch(r"v[0-9]+", parts[-1]):
        parts.pop()  # The major version.
    return re.sub(r"[^\w.-]", "", parts[-1]) or "app"
