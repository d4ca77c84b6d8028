"""The text of a supervisor.toml: the detected settings, and others in comments."""

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import tomli_w
from attrs import frozen

from blue_green.config.process_settings import INTERNAL
from blue_green.preflight.init.app import App, DetectedProcess
from blue_green.system import documents

STATE_OF_SERVICE = "/var/lib/blue-green"
COMMENTS_AT = 40
LONGEST_LINE = 100


@frozen
class SiteText:
    """What is written about a site."""

    app: App
    file: str
    """The settings file, for `blue-green check`."""
    checkout: str
    hosts: tuple[str, ...]
    name: str = ""
    """The name of one of several sites."""


def whole(site: SiteText, listen: str, acme: str | None = None, *, as_service: bool = False) -> str:
    """The settings of a supervisor with one site."""
    return _text(*_of_site(site), _rest(listen, "the site's address", acme, as_service=as_service))


def one_of_several(site: SiteText) -> str:
    """The settings of one of several sites, without those of the process."""
    return _text(*_of_site(site))


def process(
    file: str, include: str, listen: str, acme: str | None = None, *, as_service: bool = False
) -> str:
    """The settings of the process, which includes the files of its sites."""
    head = (
        "# Settings for blue-green, written by `blue-green init`: those of the process. Each site",
        "# has a file of its own, to which `blue-green init` adds others. Check all of them with",
        *_how_to_check(file),
        *_where_all_are(),
    )
    included = (_line("include", (include,), "each file is one site, named after the file"),)
    rest = _rest(listen, "the address of all sites", acme, as_service=as_service)
    return _text(head, included, rest)


def _text(*sections: Iterable[str]) -> str:
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _of_site(site: SiteText) -> Iterator[Iterable[str]]:
    yield _head(site)
    if site.hosts:
        yield (_line("hosts", site.hosts, '"*.example.com": all one label below; "*": all others'),)
    app, is_static = site.app, not site.app.command
    if not is_static or app.directory:
        yield _directory(app) if is_static else _app(site)
    for process in app.processes:
        yield _process(process)
    if app.files:
        yield _files(app)
    yield _git(site.checkout, app.directory)
    yield _release(app)
    if is_static:
        return
    yield _health(app)
    yield _swap(app)
    if app.strategy == "exclusive":
        yield _hold()


def _head(site: SiteText) -> Iterator[str]:
    app = site.app
    yield "# Settings for blue-green, written by `blue-green init`. Check them with"
    yield from _how_to_check(site.file, site.name)
    yield "#"
    yield f"# The app: {_plain(app.kind)}, {_plain(app.because)}."
    for advice in app.advice:
        yield f"# - {_plain(advice)}"
    yield from _where_all_are()


def _how_to_check(file: str, site: str = "") -> Iterator[str]:
    of_site = f"--site {site} " if site else ""
    yield "#"
    yield f"#     blue-green check --start {of_site}{_plain(file)}"


def _where_all_are() -> Iterator[str]:
    yield "#"
    yield "# Settings in comments show a default or an example. All settings are described in"
    yield f"# {_plain(documents.path_of('settings.md'))}"


def _directory(app: App) -> Iterator[str]:
    """Of a static site that is one of several in a repository."""
    yield "[app]"
    yield _line("directory", app.directory, "in which build runs")


def _app(site: SiteText) -> Iterator[str]:
    app = site.app
    yield "[app]"
    if app.why_command:
        yield from textwrap.wrap(
            f"{_plain(app.why_command)}.", LONGEST_LINE, initial_indent="# ", subsequent_indent="# "
        )
    yield _line("command", app.command, "not a shell; {port} is replaced, and also in $PORT")
    if app.directory:
        yield _line("directory", app.directory, "of the release, where commands run")
    yield _line("ports", (3000, 3001), "of blue and green; default: free ones are found", off=True)
    env = app.env or {"LOG_LEVEL": "info"}
    yield _line("env", dict(env), "added to the app's environment", off=not app.env)
    env_file = str(PurePosixPath(site.checkout, app.env_file or ".env"))
    yield _line("env_file", (env_file,), "more of it, as NAME=value", off=not app.env_file)
    yield _line(
        "user", "www-data", "if blue-green runs as root; default: the checkout's owner", off=True
    )


def _process(process: DetectedProcess) -> Iterator[str]:
    yield f"[processes.{process.name}]"
    yield _line("command", process.command, "runs beside the app, in the live release")
    yield f"# {_plain(process.why)}."
    yield _line("handover", process.handover, "overlap, or exclusive")
    yield _line("stop_timeout", "60s", "for its current job to end", off=True)


def _files(app: App) -> Iterator[str]:
    yield "[files]"
    for path, directory in app.files.items():
        yield _line(_value(path), directory, "served without the app")
    if app.fallback:
        comment = "for paths that only the page in the browser knows"
        yield _line("fallback", app.fallback, comment, off=True)


def _git(checkout: str, directory: str) -> Iterator[str]:
    yield "[git]"
    yield _line("checkout", checkout, "each new commit checked out here is deployed")
    if directory:
        comment = "deploy only commits that change something there; default: all"
        yield _line("paths", (directory,), comment, off=True)
    yield _line("pull_every", "5m", "fetch and fast-forward; default: never", off=True)


def _release(app: App) -> Iterator[str]:
    yield "[release]"
    build = app.build or ("make",)
    yield _line("build", build, "run once in each new release", off=not app.build)
    migrate = app.migrate or ("./migrate",)
    comment = "run once for each new revision, before it starts"
    yield _line("migrate", migrate, comment, off=not app.migrate)
    link = app.link or (".env", "uploads")
    yield _line("link", link, "not in git, shared by all releases", off=not app.link)


def _health(app: App) -> Iterator[str]:
    yield "[health]"
    yield _line("path", app.path, "must answer 2xx when the app works")
    host = app.host or "www.example.com"
    yield _line("host", host, "the Host header of the probe", off=not app.host)
    yield _line(
        "https", True, "send X-Forwarded-Proto: https, for apps that redirect", off=not app.https
    )
    yield _line("start_timeout", "60s", "how long a new release may take to start", off=True)


def _swap(app: App) -> Iterator[str]:
    yield "[swap]"
    if app.why_strategy:
        yield f"# {_plain(app.why_strategy)}."
    other = 'or "exclusive", if only one copy may run'
    yield _line("strategy", app.strategy, other if app.strategy == "overlap" else 'or "overlap"')
    yield _line("drain_timeout", "30s", "for the old release to finish its requests", off=True)


def _hold() -> Iterator[str]:
    yield "[hold]"
    yield _line("timeout", "90s", "how long requests wait after a crash")


def _rest(listen: str, what: str, acme: str | None, *, as_service: bool) -> Iterator[str]:
    yield "[proxy]"
    behind = ", or the address nginx or Caddy proxies to" if acme is None else ", for HTTPS"
    yield _line("listen", (listen,), f"{what}{behind}")
    yield _line(
        "trusted_proxies", ("127.0.0.1",), "whose X-Forwarded-* fields are trusted", off=True
    )
    if acme is not None:
        yield ""
        yield "[proxy.tls]"
        comment = "certificates of an authority of this machine's own; see blue-green trust"
        if acme != INTERNAL:
            comment = "certificates for all hosts from Let's Encrypt; port 80 redirects to HTTPS"
        yield _line("acme", acme, comment)
    yield ""
    yield "[state]"
    if as_service:
        yield _line("directory", STATE_OF_SERVICE, "as in the unit that blue-green unit makes")
    else:
        yield _line("directory", ".blue-green", f"as a service: {STATE_OF_SERVICE}", off=True)


def _line(key: str, value: Any, comment: str, *, off: bool = False) -> str:
    setting = f"{'# ' if off else ''}{key} = {_value(value)}"
    line = f"{setting:<{COMMENTS_AT}}  # {comment}"
    return line if len(line) <= LONGEST_LINE else f"# {comment}:\n{setting}"


def _value(value: Any) -> str:
    """As TOML, on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(inner)}' for key, inner in value.items())} }}"
    return tomli_w.dumps({"k": value}).strip().removeprefix("k = ")


def _plain(text: str) -> str:
    """Replace characters that a TOML comment may not hold, but a file's name may."""
    return "".join(character if character.isprintable() else "?" for character in text)
