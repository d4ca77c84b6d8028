"""The systemd unit for these settings: its user, its state directory, and its stop timeout."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path

from blue_green.config.process_settings import StateSettings
from blue_green.config.settings import Settings
from blue_green.preflight import service_unit
from blue_green.preflight.checks.finding import Findings, passed, warned
from blue_green.system import files, root, users
from blue_green.system.other_sites import UNITS

RUNNING = Path("/run/systemd/system")
"""Exists if systemd is the init system (sd_booted(3))."""
DEFAULT_STOP = 90.0
"""Seconds: the default of systemd's DefaultTimeoutStopSec."""
MAX_SIZE = 1024 * 1024
"""Maximum size of a unit file, in bytes."""
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
UNITS_OF_TIME = {
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
SYSTEMCTL_TIMEOUT = 10.0
SHOWN = (
    "User", "TimeoutStopUSec", "StateDirectory", "AmbientCapabilities", "CapabilityBoundingSet",
)  # fmt: skip
"""Properties that are asked for."""
BIND = "CAP_NET_BIND_SERVICE"
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
"""The first port that needs no capability (ip(7))."""


def unit(file: Path, settings: Settings) -> Findings:
    """Check each installed service that runs this settings file."""
    for path in naming(file, UNITS):
        service = _properties(path)
        yield from judge(path.name, service, settings)
        yield from _ports(path, service, settings)
        beside = file.absolute().parent / StateSettings().directory
        if (named := service.get("StateDirectory")) and settings.state.directory == beside:
            yield warned(
                f"{path.name}: StateDirectory",
                f"the service keeps its state in /var/lib/{named.split()[0]}, but commands look "
                f"for it in {beside}",
                f'set directory = "/var/lib/{named.split()[0]}" in [state]',
            )


def may_bind_low_ports(file: Path) -> bool:
    """Whether an installed service that runs this settings file may listen on all ports."""
    return any(_may_bind(path, _properties(path)) for path in naming(file, UNITS))


def runs_as_us(file: Path) -> bool:
    """Whether the supervisor of this settings file runs as the user of this check, as we assume
    without an installed service: then what this user may rely on matters.
    """
    us = users.owner_of(Path("/proc/self")).name
    services = [_properties(path) for path in naming(file, UNITS)]
    return not services or any((service.get("User") or "root") == us for service in services)


def judge(name: str, service: Mapping[str, str], settings: Settings) -> Findings:
    """Check the properties of a service, in the format of its unit file."""
    us = users.owner_of(Path("/proc/self")).name
    if (user := service.get("User") or "root") != us:
        yield warned(
            name,
            f"it runs as {user}, but this check runs as {us}, whose permissions may differ",
            f"sudo -u {user} blue-green check ...",
        )
    allowed = seconds(service.get("TimeoutStopSec", ""))
    longest = service_unit.longest_stop(settings)
    about = f"{name}: TimeoutStopSec"
    if allowed < longest:
        yield warned(
            about,
            f"systemd kills the service after {allowed:g} s, but an orderly stop may take "
            f"{longest:g} s (drain_timeout + stop_timeout twice + drain_delay)",
            f"set TimeoutStopSec={longest + service_unit.KILL_MARGIN:.0f}, as `blue-green unit "
            "--install --force` does",
        )
    else:
        yield passed(about, f"{allowed:g} s are enough for an orderly stop")


def _ports(path: Path, service: Mapping[str, str], settings: Settings) -> Findings:
    """Warn if the service cannot listen on its ports."""
    tls = settings.proxy.tls
    ends = [*settings.proxy.listen, *(tls.redirecting if tls else ()), *settings.admin.listen]
    first = int(UNPRIVILEGED.read_text()) if UNPRIVILEGED.exists() else 1024
    low = sorted({end.port for end in ends if end.path is None and end.port < first})
    if low and not _may_bind(path, service):
        yield warned(
            f"{path.name}: AmbientCapabilities",
            f"the service, which runs as {service.get('User')}, may not listen on "
            f"{' and '.join(map(str, low))}, ports below {first}",
            f"set AmbientCapabilities={BIND} and CapabilityBoundingSet={BIND}, with systemctl edit "
            f"{path.name}, as in `blue-green unit`",
        )


def _may_bind(path: Path, service: Mapping[str, str]) -> bool:
    """Whether the service may listen on all ports, or systemd may do so for it."""
    bounds = service.get("CapabilityBoundingSet")
    if bounds is not None and BIND not in bounds.upper() and not bounds.startswith("~"):
        return path.with_suffix(".socket").exists()
    if service.get("User", "") in ("", "root"):
        return True
    ambient = service.get("AmbientCapabilities", "").upper()
    return BIND in ambient or path.with_suffix(".socket").exists()


def _properties(path: Path) -> Mapping[str, str]:
    """The properties of a service that are in force, or else those in its file."""
    shown = _shown(path.name) if RUNNING.is_dir() else {}
    return shown or written(files.read_text(path, MAX_SIZE))


def naming(file: Path, directory: Path) -> Iterator[Path]:
    """Yield the services there whose ExecStart names this settings file."""
    for path in sorted(directory.glob("*.service")):
        try:
            started = written(files.read_text(path, MAX_SIZE)).get("ExecStart", "")
        except (OSError, UnicodeDecodeError):
            continue  # A link to a unit that is masked or gone, or a file that we may not read.
        if str(file.absolute()) in re.split(r"[\s\"']+", started):
            yield path


def written(text: str) -> dict[str, str]:
    """The properties in the [Service] section of a unit file; the last one of a name counts."""
    properties: dict[str, str] = {}
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if match := re.fullmatch(r"\[(\w+)\]\s*", line):
            section = match[1]
        elif section == "Service" and (match := re.fullmatch(r"\s*(\w+)\s*=(.*)", line)):
            properties[match[1]] = match[2].strip()
    if "TimeoutSec" in properties:
        properties.setdefault("TimeoutStopSec", properties["TimeoutSec"])
    return properties


def seconds(span: str) -> float:
    """Parse a time span such as `1min 30s` (systemd.time(7))."""
    if not span:
        return DEFAULT_STOP
    if span in ("infinity", "0"):
        return inf
    return sum(float(number) * UNITS_OF_TIME.get(name, 1) for number, name in SPAN.findall(span))


def _shown(name: str) -> dict[str, str]:
    """The properties in force, including drop-ins; empty if systemctl fails."""
    command = ["systemctl", "show", f"--property={','.join(SHOWN)}", name]
    us, env = users.owner_of(Path("/proc/self")), None
    try:
        if root.is_us():
            command[0], env = root.program(command[0], us), root.environment(us, {})
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT, check=True, env=env
        )
    except (OSError, subprocess.SubprocessError, root.Unsafe):
        return {}
    shown = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {**shown, "TimeoutStopSec": shown.get("TimeoutStopUSec", "")}
