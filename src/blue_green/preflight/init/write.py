"""Write a working supervisor.toml for a checkout."""

import os
import shlex
import tomllib
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import trio

from blue_green.config import parsing
from blue_green.config.kinds import Endpoint
from blue_green.config.site_settings import GitSettings
from blue_green.preflight.init.checkout import App, Checkout
from blue_green.preflight.init.detect import detect
from blue_green.preflight.init.render import text
from blue_green.site.backend import HOST, check_is_free
from blue_green.source.failure import StepFailed
from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.system import documents, other_sites, users

FIRST_PORT, PAIRS, LISTEN = 20_000, 5000, 8000
"""Below the ephemeral ports (ip(7)), and rarely used."""

Ask = Callable[[str], str]
"""Ask the user a question; returns an empty string without a terminal."""


class CannotWrite(Exception):
    """The settings cannot be determined or written; str() says why and what to do."""


def write(file: Path, directory: Path, ask: Ask, *, force: bool) -> App:
    """Write settings for the app in this checkout, and return the app.

    Raises `CannotWrite`, and `ConfigError` if the user's answer makes the settings invalid.
    """
    if file.exists() and not force:
        raise CannotWrite(f"{file} already exists: use --force to overwrite it")
    checkout = look(directory)
    app = choose(detect(checkout), ask)
    taken = {port for site in other_sites.of(file) for port in site.ports}
    blue, green, listen = free_ports(directory.resolve(), taken)
    where = _relative(directory, file.absolute().parent)
    listen_on = f"{HOST}:{listen}"
    content = text(app, file=file.name, checkout=where, ports=(blue, green), listen=listen_on)
    parsing.parse(tomllib.loads(content), file)
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"{file} cannot be written: {error.strerror}") from None
    return app


def look(directory: Path) -> Checkout:
    """List the committed files of this directory; raise `CannotWrite`."""
    try:
        owner = users.owner_of(directory)
        git = Git(directory.resolve(), owner, {}, GitSettings().fetch_timeout)
        return Checkout(directory, trio.run(_tracked, git))
    except OSError as error:
        raise CannotWrite(f"{directory} cannot be read: {error.strerror}") from None
    except GitError as error:
        raise CannotWrite(
            f"{directory} has no commit to deploy ({error}): "
            "run git init, git add and git commit first"
        ) from None


async def _tracked(git: Git) -> frozenset[str]:
    if not await git.is_top():
        raise CannotWrite(
            f"{git.checkout} is a subdirectory of a work tree: name its top directory"
        )
    return await git.names(await git.head())


def choose(found: Sequence[App], ask: Ask) -> App:
    """The only app, or the one that the user chooses; without an answer, the most likely one."""
    if not found:
        return _unknown(ask)
    if len(found) == 1:
        return found[0]
    listed = [f"  {number}: {app.kind}, {app.because}" for number, app in enumerate(found, 1)]
    answer = ask("\n".join(["Which app is it?", *listed, "number [1]: "])).strip() or "1"
    if not answer.isdecimal() or not 0 < int(answer) <= len(found):
        raise CannotWrite(f'"{answer}" is not one of the numbers 1 to {len(found)}')
    return found[int(answer) - 1]


def _unknown(ask: Ask) -> App:
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
            "no known framework found (Django, Datasette, ASGI, WSGI, Node, Spin or static files): "
            "enter the app's command when asked, or write supervisor.toml by hand; "
            f"{documents.path_of('settings.md')} describes all settings"
        )
    return App("a generic app", "no known framework found", command)


def free_ports(checkout: Path, taken: Collection[int]) -> tuple[int, int, int]:
    """Two ports for the app and one for the proxy, free and not named by any other site.

    Those for the app depend on the checkout's path, so that two sites rarely choose the same.
    """
    first = FIRST_PORT + 2 * (zlib.crc32(bytes(checkout)) % PAIRS)
    blue = _free_from(first, taken)
    green = _free_from(blue + 1, taken)
    return blue, green, _free_from(LISTEN, {*taken, blue, green})


def _free_from(first: int, taken: Collection[int]) -> int:
    for port in range(first, first + 1000):
        if port in taken:
            continue
        try:
            check_is_free(Endpoint(HOST, port))
        except StepFailed:
            continue
        return port
    raise CannotWrite(f"no free port from {first} to {first + 999}")


def _relative(checkout: Path, base: Path) -> str:
    """The path of the checkout for a file in `base`: relative if it is there or below."""
    checkout = Path(os.path.normpath(checkout.absolute()))
    inside = checkout.is_relative_to(base)
    return str(checkout.relative_to(base)) if inside else str(checkout)
