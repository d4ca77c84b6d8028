"""Write working settings for the app in a checkout."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio
from attrs import evolve, frozen

from blue_green.config.error import ConfigError
from blue_green.config.kinds import Endpoint
from blue_green.config.site_settings import GitSettings
from blue_green.preflight.init import https, render
from blue_green.preflight.init.app import App
from blue_green.preflight.init.checkout import Checkout
from blue_green.preflight.init.destination import (
    INCLUDE,
    CannotWrite,
    Destination,
    destination,
)
from blue_green.preflight.init.detect import detect
from blue_green.preflight.init.https import Ask
from blue_green.site.backend import HOST, check_is_free
from blue_green.source.failure import StepFailed
from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.supervisor import settings_file
from blue_green.system import documents, other_sites, users

LISTEN, LISTEN_HTTPS, PORTS_TO_TRY = 8000, 8443, 1000

ETC = Path("/etc")
KNOWN = (
    "a Procfile, Django, Datasette, ASGI, WSGI, Rails, Rack, Node, Go, Spin, a generator of static "
    "pages, or pages"
)


@frozen
class Written:
    """What was written."""

    app: App
    to: Destination
    hosts: tuple[str, ...]
    """Of the site; empty if it is the only one, and gets all requests."""
    acme: str | None
    """Who issues the certificates, if the file says so."""


def write(
    named: Path,
    directory: Path,
    ask: Ask,
    *,
    ask_https: Ask = lambda _: "",
    hosts: Sequence[str] = (),
    acme: str | None = None,
    several: bool = False,
    force: bool = False,
) -> Written:
    """Write settings for the app in this checkout.

    `named` is the file to write, or the settings file of several sites, to which the app is added.
    With `several`, a new file becomes one of these. `ask_https` is for what only somebody at a
    terminal is asked, and `acme` is the value of that setting. Raises `CannotWrite`, and
    `ConfigError` if the user's answers make the settings invalid.
    """
    to = destination(named, directory, several=several, force=force)
    checkout = look(directory)
    app = choose(detect(checkout), ask).below(checkout.directory)
    is_new = to.main is None or not to.main.exists()
    if acme and not is_new:
        raise CannotWrite(
            f"--acme is for a new settings file: leave it out, since acme in [proxy.tls] of "
            f"{to.main} is for all of its sites, and set it there if it is missing"
        )
    if to.main is None:
        of_site = https.choose_hosts(hosts, acme, ask_https)
    else:
        of_site = tuple(hosts) or _hosts(app, to, ask)
    acme = https.choose_authority(acme, of_site, ask_https) if is_new else None
    site = render.SiteText(
        app=app,
        file=str(to.main.resolve()) if to.main else to.file.name,
        checkout=_relative(_top(checkout), to.file.absolute().parent),
        hosts=of_site,
        name=to.name if to.main else "",
    )
    _write(_texts(site, to, acme), to.main or to.file)
    return Written(app, to, of_site, acme)


def _texts(site: render.SiteText, to: Destination, acme: str | None) -> dict[Path, str]:
    """The files to write, and what to write there."""
    if to.main is not None and to.main.exists():
        return {to.file: render.one_of_several(site)}
    main = to.main or to.file
    listen, as_service = _listen(main, site.hosts, acme), _is_of_service(main)
    if to.main is None:
        return {main: render.whole(site, listen, acme, as_service=as_service)}
    process = render.process(main.name, INCLUDE, listen, acme, as_service=as_service)
    return {main: process, to.file: render.one_of_several(site)}


def _is_of_service(file: Path) -> bool:
    """Whether it is where the settings of services are. Then its directory is not for state."""
    return file.resolve().is_relative_to(ETC)


def _hosts(app: App, to: Destination, ask: Ask) -> tuple[str, ...]:
    """The hosts of one of several sites: the user's, or that of the app, or a local one."""
    label = re.sub(r"[^a-z0-9]+", "-", to.name.lower()).strip("-") or "site"
    usual = app.host or f"{label}.localhost"
    answer = ask(f"Which hosts does it have? [{usual}]: ")
    return https.split(answer) or (usual,)


def _write(texts: Mapping[Path, str], main: Path) -> None:
    """Write files; if that makes the settings invalid, undo it and raise `ConfigError`."""
    before = {file: file.read_bytes() if file.exists() else None for file in texts}
    known = _problems(main) if main.exists() and main not in texts else ()
    known = [line for line in known if not line.startswith(tuple(f"{file}:" for file in texts))]
    try:
        for file, text in texts.items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"{file} cannot be written: {error.strerror}") from None
    if new := [problem for problem in _problems(main) if problem not in known]:
        for file, content in before.items():
            file.unlink() if content is None else file.write_bytes(content)
        raise ConfigError(new)


def _problems(main: Path) -> Sequence[str]:
    """The mistakes in the settings."""
    try:
        settings_file.load(main)
    except ConfigError as error:
        return error.problems
    return ()


def look(directory: Path) -> Checkout:
    """List the committed files of this directory; raise `CannotWrite`."""
    try:
        owner = users.owner_of(directory)
        git = Git(directory.resolve(), owner, {}, GitSettings().fetch_timeout)
        return trio.run(_checkout, directory, git)
    except OSError as error:
        raise CannotWrite(f"{directory} cannot be read: {error.strerror}") from None
    except GitError as error:
        raise CannotWrite(
            f"{directory} has no commit to deploy ({error}): "
            "run git init, git add and git commit first"
        ) from None


async def _checkout(directory: Path, git: Git) -> Checkout:
    inside = await git.prefix()
    names = await git.names(await git.head())
    if not names:
        raise CannotWrite(f"HEAD has no files in {directory}: commit the app first")
    return Checkout(directory, names, inside)


def _top(checkout: Checkout) -> Path:
    """The top directory of the work tree."""
    levels = len(Path(checkout.directory).parts)
    return checkout.path.resolve().parents[levels - 1] if levels else checkout.path


def choose(found: Sequence[App], ask: Ask) -> App:
    """The only app, or the one that the user chooses; without an answer, the most likely one.

    If nothing is known of how to start it, the user is asked for that.
    """
    if not found:
        return App("a generic app", "no known framework found", _command(ask))
    if len(found) == 1:
        [app] = found
        return app if app.command or app.files else evolve(app, command=_command(ask))
    listed = [f"  {number}: {app.kind}, {app.because}" for number, app in enumerate(found, 1)]
    answer = ask("\n".join(["Which app is it?", *listed, "number [1]: "])).strip() or "1"
    if not answer.isdecimal() or not 0 < int(answer) <= len(found):
        raise CannotWrite(f'"{answer}" is not one of the numbers 1 to {len(found)}')
    return found[int(answer) - 1]


def _command(ask: Ask) -> tuple[str, ...]:
    """The user's command for an app; raise `CannotWrite` without one."""
    answer = ask(
        "No known framework found. Enter the command that starts the app, with {port} for the port "
        "on\nwhich it must listen (also in $PORT), such as\n"
        "    ./serve --listen 127.0.0.1:{port}\ncommand: "
    )
    try:
        command = tuple(shlex.split(answer))
    except ValueError as error:
        raise CannotWrite(f"{answer}: {error}") from None
    if not command:
        raise CannotWrite(
            f"no known framework found ({KNOWN}): "
            "enter the app's command when asked, or write supervisor.toml by hand; "
            f"{documents.path_of('settings.md')} describes all settings"
        )
    return command


def _listen(file: Path, hosts: Sequence[str], acme: str | None) -> str:
    """The address for the proxy."""
    if acme is None:
        return _free_address(file, LISTEN)
    return _free_address(file, LISTEN_HTTPS) if https.is_local(hosts) else https.EVERYWHERE


def _free_address(file: Path, first: int) -> str:
    """An address for the proxy whose port is free, and not named by any other supervisor."""
    taken = {port for site in other_sites.of(file) for port in site.ports}
    for port in range(first, first + PORTS_TO_TRY):
        if port in taken:
            continue
        with suppress(StepFailed):
            check_is_free(Endpoint(HOST, port))
            return f"{HOST}:{port}"
    raise CannotWrite(f"no free port from {first} to {first + PORTS_TO_TRY - 1}")


def _relative(checkout: Path, base: Path) -> str:
    """The path of the checkout for a file in `base`: relative if it is there or below."""
    checkout = Path(os.path.normpath(checkout.absolute()))
    inside = checkout.is_relative_to(base)
    return str(checkout.relative_to(base)) if inside else str(checkout)
