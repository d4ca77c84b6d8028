"""Messages about stray data, with the steps that save it."""

import shlex
from collections.abc import Sequence

import tomli_w

from blue_green.config.command_line import command_line
from blue_green.source.stray_data import StrayData, printable_name
from blue_green.source.stray_scan import MAX_NAMES
from blue_green.system import documents

DOCS = f"See {documents.path_of('swaps.md')}, under Data"
BY_HAND = "Save what you need from it, and delete it by hand"
MAX_COPIES = 3
"""Names for which the message has a command of its own."""


def refusal(data: StrayData, site: str = "", swap: str = "") -> str:
    """Why a swap is refused. `swap` is the command that requests it again."""
    return (
        f"the next release would not have {summary(data)}. Nothing was changed. To leave it behind,"
        f' set stray_data = "warn" in [swap]; to keep it in the checkout, follow these steps. '
        f"{DOCS}:{steps(data, site, swap)}"
    )


def early(data: StrayData, site: str = "") -> str:
    """A warning of data that `migrate` has written into the release."""
    return (
        f"migrate wrote {summary(data)}. The next release would not have it, so the next swap will "
        f"be refused. Link it before there is much in it. {DOCS}:{steps(data, site)}"
    )


def warning(data: StrayData, site: str = "") -> str:
    """A warning of data that a swap has left behind."""
    if not data.names:
        return f"{_unscanned(data)}, so it is never removed. {BY_HAND}. {DOCS}"
    return (
        f"the release that is live now does not have {summary(data)}. It stays in {data.release}, "
        f"which is not removed. To have it in each release, follow these steps. "
        f"{DOCS}:{steps(data, site)}"
    )


def kept(data: StrayData) -> str:
    """Why an old release is not removed."""
    if not data.names:
        return f"{_unscanned(data)}, so it is not removed. {BY_HAND}"
    return (
        f"{data.release} has the only copy of {summary(data)}. Copy it if you need it, and delete "
        "it there: then the release is removed"
    )


def summary(data: StrayData) -> str:
    """What was found, and in which release."""
    if data.databases:
        noun = "a database" if len(data.databases) == 1 else "databases"
        names = StrayData(data.release, data.checkout, (), data.databases).names
        others = StrayData(data.release, data.checkout, (), files=data.files).names
        names += f" (and other files: {others})" if data.files else ""
    else:
        noun = "a file" if len(data.files) == 1 else f"{len(data.files)} files"
        names = data.names
    return f"{noun} written inside of the release {data.release.name}: {names}"


def changes(data: StrayData) -> list[str]:
    """What to change in git and in the settings so that each release has the data."""
    todo = []
    if tracked := sorted(data.tracked)[:MAX_NAMES]:
        names = " ".join(shlex.quote(printable_name(name)) for name in tracked)
        todo.append(f"git rm --cached {names}, if git tracks it, and add it to .gitignore")
    if not data.is_linked:
        names_to_link = data.to_link
        rest = len(names_to_link) - MAX_NAMES
        more = f", with {rest} more," if rest > 0 else ""
        array = toml_array([*data.links, *names_to_link[:MAX_NAMES]])
        todo.append(f"link = {array}{more} in [release]")
    return todo


def steps(data: StrayData, site: str = "", swap: str = "") -> str:
    """How to move the data to the checkout, where each release has it: one step per line.

    `site` is its name if there are several, and `swap` the command that deploys the next release.
    """
    todo = changes(data)
    if not data.is_linked:
        todo.append("blue-green reload")
    todo += [command_line("pause", site, "--for 5m"), *_copy_commands(data)]
    todo += [swap or command_line("swap", site), command_line("resume", site)]
    return "".join(f"\n{number}. {step}" for number, step in enumerate(todo, 1))


def toml_array(names: Sequence[str]) -> str:
    """An array of names as TOML, on one line.

    A name that is not UTF-8 has no representation in TOML: its bytes are shown as escapes.
    """
    strings = []
    for name in dict.fromkeys(names):
        is_text = name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
        document = tomli_w.dumps({"name": name if is_text else printable_name(name)})
        strings.append(document.removeprefix("name = ").rstrip("\n"))
    return f"[{', '.join(strings)}]"


def _unscanned(data: StrayData) -> str:
    return (
        f"cannot scan all of {data.release} for data (it is too large or too deep, or part of it "
        "cannot be read)"
    )


def _copy_commands(data: StrayData) -> Sequence[str]:
    """Shell commands that copy the data to the checkout, databases with their logs."""
    names, commands = data.to_link, []
    for name in names[:MAX_COPIES]:
        source, target = data.release / name.rstrip("/"), (data.checkout / name).parent
        directory = shlex.quote(printable_name(str(target)))
        make = f"mkdir -p {directory} && " if "/" in name.rstrip("/") else ""
        star = "" if name.endswith("/") else "*"
        commands.append(
            f"{make}cp -a {shlex.quote(printable_name(str(source)))}{star} {directory}/"
        )
    return commands + (["the same for the others"] if len(names) > MAX_COPIES else [])
