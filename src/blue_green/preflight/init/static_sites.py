"""Static sites: generators of pages, and directories of pages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from attrs import frozen

from blue_green.preflight.init.app import App, steps
from blue_green.preflight.init.checkout import Checkout
from blue_green.preflight.init.python_environment import python_of
from blue_green.preflight.init.ruby_apps import BUNDLE, ENV, GEMS

PAGES = ("public", "dist", "_site", "site", "build", "docs", ".")
ALL_IS_PUBLISHED = (
    "all files of the repository are published, except for those whose names begin with a dot: to "
    "publish a part of it, move that into a directory"
)
HUGO = ("hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json")
CONFIG = ("config.toml", "config.yaml", "config.yml", "config.json")
HUGO_URL = re.compile(r"(?im)^[ \t]*[\"']?baseurl\b")
ZOLA_URL = re.compile(r"(?m)^base_url\b")
JEKYLL = re.compile(r"""gem[ \t(]*["'](?:jekyll|github-pages)["']""")
MKDOCS: Sequence[str] = ("mkdocs.yml", "mkdocs.yaml")
SPHINX: Sequence[str] = (
    "docs/conf.py",
    "docs/source/conf.py",
    "doc/conf.py",
    "source/conf.py",
    "conf.py",
)
OUTPUT: Mapping[str, re.Pattern[str]] = {
    key: re.compile(rf"""(?im)^[ \t]*["']?{key}["']?[ \t]*[:=][ \t]*["']?([\w./-]+)""")
    for key in ("publishDir", "destination", "output_dir", "site_dir")
}


@frozen
class _Generated:
    """A generator whose files are there."""

    kind: str
    because: str
    build: tuple[str, ...]
    output: str


def generated(checkout: Checkout) -> Iterator[App]:
    """A site whose generator leaves no doubt that this is what the repository is for."""
    for found in (_hugo(checkout), _zola(checkout)):
        if found:
            yield _site(checkout, found)
    yield from _jekyll(checkout)


def documentation(checkout: Checkout) -> Iterator[App]:
    """MkDocs and Sphinx: many apps have their documentation beside their code."""
    python = python_of(checkout)
    if file := next((name for name in MKDOCS if name in checkout.tracked), None):
        python = python.having("mkdocs")
        output = _output(checkout.text(file), "site_dir", "site")
        build = python.build_and((*python.run("mkdocs", "build"), "-q", "-d", output))
        yield _site(checkout, _Generated("MkDocs", file, build, output), python.link, python.advice)
        return
    file = next((file for file in SPHINX if _is_sphinx(checkout, file)), None)
    if file is not None:
        python = python.having("sphinx")
        source = file.rpartition("/")[0] or "."
        build = python.build_and((*python.run("sphinx"), "-q", "-b", "html", source, "_html"))
        yield _site(
            checkout, _Generated("Sphinx", file, build, "_html"), python.link, python.advice
        )


def pages(checkout: Checkout) -> Iterator[App]:
    """Pages that need no build."""
    for directory in PAGES:
        index = str(PurePosixPath(directory, "index.html"))
        if index in checkout.tracked:
            advice = (ALL_IS_PUBLISHED,) if directory == "." else ()
            yield _site(checkout, _Generated("static files", index, (), directory), advice=advice)
            return


def _site(
    checkout: Checkout, found: _Generated, link: tuple[str, ...] = (), advice: tuple[str, ...] = ()
) -> App:
    return App(
        kind=found.kind,
        because=f"detected from {found.because}",
        build=found.build,
        link=link,
        files={"/": found.output},
        advice=advice,
    )


def _hugo(checkout: Checkout) -> _Generated | None:
    """Its directories are those of gohugo.io/getting-started/directory-structure."""
    file = next((name for name in HUGO if name in checkout.tracked), None)
    places = (*CONFIG, *(f"config/_default/{name}" for name in (*HUGO, *CONFIG)))
    if file is None:
        file = next((f for f in places if HUGO_URL.search(checkout.text(f))), None)
    if file is None or file not in checkout.tracked:
        return None
    output = _output(checkout.text(file), "publishDir", "public")
    return _Generated("Hugo", file, ("hugo", "--gc", "--minify"), output)


def _zola(checkout: Checkout) -> _Generated | None:
    text = checkout.text("config.toml")
    if "config.toml" not in checkout.tracked or not ZOLA_URL.search(text):
        return None
    output = _output(text, "output_dir", "public")
    return _Generated("Zola", "config.toml", ("zola", "build"), output)


def _jekyll(checkout: Checkout) -> Iterator[App]:
    bundled = bool(JEKYLL.search(checkout.text("Gemfile")))
    is_jekyll = bundled or {"_posts", "_layouts", "_includes"} & checkout.tracked
    if "_config.yml" not in checkout.tracked or not is_jekyll:
        return
    output = _output(checkout.text("_config.yml"), "destination", "_site")
    build: tuple[str, ...] = ("env", "JEKYLL_ENV=production", "jekyll", "build", "--quiet")
    if bundled:
        words = (*build[:2], "bundle", "exec", *build[2:])
        env = [f"{name}={value}" for name, value in ENV.items() if name == "BUNDLE_PATH"]
        build = steps(("env", *env, *BUNDLE), ("env", *env, *words[1:]))
    found = _Generated("Jekyll", "_config.yml", build, output)
    yield _site(checkout, found, checkout.with_data((), (GEMS,)) if bundled else ())


def _is_sphinx(checkout: Checkout, file: str) -> bool:
    text = checkout.text(file) if file in checkout.tracked else ""
    return "extensions" in text and "project" in text


def _output(text: str, key: str, usual: str) -> str:
    """The directory that the settings of a generator name, if it is inside the release."""
    match = OUTPUT[key].search(text)
    place = PurePosixPath(match[1] if match else usual)
    return usual if place.is_absolute() or ".." in place.parts else str(place)
