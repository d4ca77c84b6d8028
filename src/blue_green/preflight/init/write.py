"""From a checkout to a supervisor.toml that can be used."""

import os
import shlex
import tomllib
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import trio

from blue_green.config import parsing
from blue_green.config.site_settings import GitSettings
from blue_green.preflight import other_sites
from blue_green.preflight.init.checkout import App, Checkout
from blue_green.preflight.init.detect import detect
from blue_green.preflight.init.render import text
from blue_green.site.backend import HOST, check_is_free
from blue_green.source.failure import StepFailed
from blue_green.source.git import Git, GitError
from blue_green.system import documents, users

FIRST_PORT, PAIRS, LISTEN = 20_000, 5000, 8000
"""Below those that the kernel takes for connections that go out (ip(7)), and rarely used."""

Ask = Callable[[str], str]
"""Ask a person; the answer, or nothing if nobody is there to be asked."""


class CannotWrite(Exception):
    """There is no telling what to write, or no writing it; str() says why and what to do."""


def write(file: Path, directory: Path, ask: Ask, *, force: bool) -> App:
    """Write settings for the app in this checkout, and say what it was taken for.

    Raises `CannotWrite`, and `ConfigError` if an answer makes settings that are wrong.
    """
    if file.exists() and not force:
        raise CannotWrite(f"{file} exists already: --force overwrites it")
    checkout = look(directory)
    app = choose(detect(checkout), ask)
    taken = {port for neighbour in other_sites.of(file) for port in neighbour.ports}
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
    """What is in this directory; raise `CannotWrite`."""
    try:
        owner = users.owner_of(directory)
        git = Git(directory.resolve(), owner, {}, GitSettings().fetch_timeout)
        return Checkout(directory, trio.run(_tracked, git))
    except OSError as error:
        raise CannotWrite(f"{directory} cannot be read: {error.strerror}") from None
    except GitError as error:
        raise CannotWrite(
            f"{directory} has no commit to make a release of ({error}): "
            "git init, git add and git commit come first"
        ) from None


async def _tracked(git: Git) -> frozenset[str]:
    if not await git.is_top():
        raise CannotWrite(f"{git.checkout} is inside of a work tree: name the top of it")
    return await git.names(await git.head())


def choose(found: Sequence[App], ask: Ask) -> App:
    """The only one, or what somebody says; without an answer the likeliest."""
    if not found:
        return _unknown(ask)
    if len(found) == 1:
        return found[0]
    listed = [f"  {number}: {app.kind}, since {app.because}" for number, app in enumerate(found, 1)]
    answer = ask("\n".join(["Which app is it?", *listed, "number [1]: "])).strip() or "1"
    if not answer.isdecimal() or not 0 < int(answer) <= len(found):
        raise CannotWrite(f'"{answer}" is not one of the numbers 1 to {len(found)}')
    return found[int(answer) - 1]


def _unknown(ask: Ask) -> App:
    answer = ask(
        "Nothing here tells how the app is started. Write the command that does, with {port} for "
        "the\nport that it is to listen on (which is also in $PORT), such as\n"
        "    ./serve --listen 127.0.0.1:{port}\ncommand: "
    )
    try:
        command = tuple(shlex.split(answer))
    except ValueError as error:
        raise CannotWrite(f"{answer}: {error}") from None
    if not command:
        raise CannotWrite(
            "nothing here tells how the app is started (we know Django, Datasette, ASGI, WSGI, "
            "Node, Spin and pages): give its command when you are asked, or write "
            f"supervisor.toml by hand; all settings are in {documents.path_of('settings.md')}"
        )
    return App("a program of no known framework", "it is started by the command given", command)


def free_ports(checkout: Path, taken: Collection[int]) -> tuple[int, int, int]:
    """Two for the app and one for us, that nobody has and no other site has taken.

    Those for the app depend on the checkout, so that two sites rarely choose the same.
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
            check_is_free(port)
        except StepFailed:
            continue
        return port
    raise CannotWrite(f"no port from {first} to {first + 1000} is free")


def _relative(checkout: Path, base: Path) -> str:
    """The checkout as the file at `base` may name it: short if it is there or below."""
    checkout = Path(os.path.normpath(checkout.absolute()))
    inside = checkout.is_relative_to(base)
    return str(checkout.relative_to(base)) if inside else str(checkout)
