"""The systemd unit for a settings file: `deploy/blue-green.service`, adapted to this machine."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path

from attrs import frozen

from blue_green.config.settings import Settings, SiteSettings
from blue_green.system import documents, users
from blue_green.system.running_supervisors import DEFAULT_FILE
from blue_green.system.users import User, UserError

TEMPLATE = "blue-green.service"
STATE = Path("/var/lib")
"""Where systemd makes state directories (systemd.exec(5))."""
KILL_MARGIN = 20.0
"""Seconds that are added to an orderly stop, for processes that take a while to die."""
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides."""
FOR_ROOT: Mapping[str, str] = {
    "CapabilityBoundingSet": "CAP_SETUID CAP_SETGID CAP_CHOWN CAP_KILL CAP_DAC_OVERRIDE "
    "CAP_SYS_PTRACE CAP_NET_BIND_SERVICE",
    "StateDirectoryMode": "0711",
    "UMask": "0022",
}
"""What a supervisor that runs as root needs instead, as docs/hardening.md explains."""
PLAIN = re.compile(r"[\w./@:+,=-]+")
SETTING = re.compile(r"(\w+)=")


@frozen
class ServiceUnit:
    """A unit for systemd."""

    name: str
    text: str
    notes: Sequence[str]
    """What should be changed on this machine or in the settings."""


def make(file: Path, settings: Settings, program: Path) -> ServiceUnit:
    """The unit of the service that runs this program with this settings file."""
    file = file.absolute()
    user, notes = _user(settings.sites)
    keys = dict(_keys(file, settings, program, user))
    head = (
        f"# Written by `blue-green unit {file}`.",
        f"# Change it with `systemctl edit {name_for(file)}`, which keeps",
        "# your changes in their own file. Lines marked LOOSEN are as tight as most apps allow:",
        "# the comment says which apps need the line changed.",
    )
    template = documents.deploy_file(TEMPLATE).read_text(encoding="utf-8")
    body = template[template.index("[Unit]") :]
    text = "\n".join([*head, "", *_adapted(body.splitlines(), keys)]) + "\n"
    return ServiceUnit(name_for(file), text, [*notes, *_notes(file, settings, program, user)])


def name_for(file: Path) -> str:
    """One supervisor is blue-green.service, and of several each is named after its file."""
    if file.name == DEFAULT_FILE:
        return TEMPLATE
    return f"blue-green-{re.sub(r'[^A-Za-z0-9_.-]+', '-', file.stem)}.service"


def _user(sites: Sequence[SiteSettings]) -> tuple[User | None, list[str]]:
    """The user of all sites, or None if root must run the supervisor."""
    found: dict[str, User] = {}
    notes = []
    for site in sites:
        try:
            owner = users.owner_of(site.git.checkout)
            for user in (owner, users.named(site.app.user, site.app.group, owner)):
                found[user.name] = user
        except (OSError, UserError) as error:
            notes.append(f"the user of {site.git.checkout} is unknown: {error}")
    root = [user for user in found.values() if user.uid == 0]
    if root:
        notes.append("root owns a checkout: chown it to the user that its app should run as")
    if len(found) == 1 and not root:
        [only] = found.values()
        return only, notes
    return None, notes


def _keys(
    file: Path, settings: Settings, program: Path, user: User | None
) -> Iterator[tuple[str, str]]:
    """The values that differ from those of the template."""
    state = settings.state.directory
    yield "ExecStart", f"{_quoted(program)} run {_quoted(file)}"
    yield "ExecReload", f"{_quoted(program)} reload --config {_quoted(file)}"
    yield "User", user.name if user else "root"
    yield "Group", users.group_name(user.gid) if user else "root"
    yield "TimeoutStopSec", str(ceil(longest_stop(settings) + KILL_MARGIN))
    yield "LimitNOFILE", str(max(65536, 3 * settings.proxy.max_connections))
    checkouts = {site.git.checkout for site in settings.sites}
    if state.is_relative_to(STATE):
        yield "StateDirectory", _quoted(state.relative_to(STATE))
        yield "Environment", f"XDG_CACHE_HOME=%S/{_quoted(state.relative_to(STATE))}/cache"
    else:
        checkouts.add(state)
        yield "StateDirectory", ""
        yield "Environment", f"XDG_CACHE_HOME={_quoted(state / 'cache')}"
    yield "ReadWritePaths", " ".join(map(_quoted, sorted(checkouts)))
    if _in_homes(program, file, *checkouts):
        yield "ProtectHome", "no"
    if user is None:
        yield from FOR_ROOT.items()


def longest_stop(settings: Settings) -> float:
    """Seconds that an orderly stop may take: sites stop side by side."""
    of_sites = (site.swap.drain_timeout + site.longest_stop for site in settings.sites)
    return settings.admin.drain_delay + max(of_sites, default=0.0)


def _adapted(lines: Sequence[str], values: Mapping[str, str]) -> Iterator[str]:
    """The lines with these values. The comments about what to change have become untrue."""
    comment: list[str] = []
    for line in lines:
        match = SETTING.match(line)
        if line.startswith("#") and not line.startswith("#Mem"):
            comment.append(line)
            continue
        is_ours = match is not None and match[1] in values
        if not (is_ours and any("CHANGE" in one for one in comment)):
            yield from comment
        comment = []
        if match is None or not is_ours:
            yield line
        elif value := values[match[1]]:
            yield f"{match[1]}={value}"
    yield from comment


def _notes(file: Path, settings: Settings, program: Path, user: User | None) -> Iterator[str]:
    if not settings.state.directory.is_relative_to(STATE):
        yield f'set directory = "{STATE}/blue-green" in [state] of {file}, as services do'
    for path in (program, program.resolve()):
        if user is not None and (unsafe := _in_homes(path)):
            yield (
                f"{user.name} may not be able to run {path}, which is in {unsafe}: install "
                f"blue-green where all users can run it, as {documents.path_of('install.md')} says"
            )
            return


def _in_homes(*paths: Path) -> Path | None:
    """The hidden directory in which one of these is."""
    places = [(path, home) for path in paths for home in HOMES]
    return next((home for path, home in places if path.is_relative_to(home)), None)


def _quoted(path: Path) -> str:
    """As a word of a unit, in which `%` begins a specifier (systemd.syntax(7))."""
    text = str(path).replace("%", "%%")
    if PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
