"""The systemd unit that runs these settings: whom it runs as, and how long it may take to stop."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path

from blue_green.config.process_settings import StateSettings
from blue_green.config.settings import Settings
from blue_green.preflight.checks.finding import Findings, passed, warned
from blue_green.system import files, root, users

UNITS = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")
"""Is there when systemd runs the machine (sd_booted(3))."""
DEFAULT_STOP = 90.0
"""Seconds: systemd's DefaultTimeoutStopSec, unless that was changed."""
LARGEST = 1024 * 1024
"""Bytes of a unit file."""
BEYOND = 20.0
"""Seconds for what does not even die at once when it is killed."""
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


def unit(file: Path, settings: Settings) -> Findings:
    """The service that names this file, if there is one."""
    for path in naming(file, UNITS):
        shown = _shown(path.name) if RUNNING.is_dir() else {}
        service = shown or written(files.read_text(path, LARGEST))
        yield from judge(path.name, service, settings)
        beside = file.absolute().parent / StateSettings().directory
        if (named := service.get("StateDirectory")) and settings.state.directory == beside:
            yield warned(
                f"{path.name}: StateDirectory",
                f"the service keeps its state in /var/lib/{named.split()[0]}, and the commands "
                f"look for it in {beside}",
                f'directory = "/var/lib/{named.split()[0]}" in [state]',
            )


def judge(name: str, service: Mapping[str, str], settings: Settings) -> Findings:
    """What is to be said of a service with these properties, as its file has them."""
    us = users.owner_of(Path("/proc/self")).name
    if (user := service.get("User") or "root") != us:
        yield warned(
            name,
            f"it runs as {user}, and this check as {us}, for whom other things may hold",
            f"sudo -u {user} blue-green check ...",
        )
    allowed = seconds(service.get("TimeoutStopSec", ""))
    longest = settings.swap.drain_timeout + 2 * settings.app.stop_timeout
    longest += settings.admin.drain_delay
    about = f"{name}: TimeoutStopSec"
    if allowed < longest:
        yield warned(
            about,
            f"systemd kills what is left after {allowed:g} s, and an orderly stop may take "
            f"{longest:g} s (drain_timeout, twice stop_timeout, drain_delay)",
            f"TimeoutStopSec={longest + BEYOND:.0f}",
        )
    else:
        yield passed(about, f"the {allowed:g} s are enough for an orderly stop")


def naming(file: Path, directory: Path) -> Iterator[Path]:
    """The services there whose ExecStart names this settings file."""
    for path in sorted(directory.glob("*.service")):
        try:
            started = written(files.read_text(path, LARGEST)).get("ExecStart", "")
        except (OSError, UnicodeDecodeError):
            continue  # A link to a unit that is masked or gone, or that is not for us to read.
        if str(file.absolute()) in re.split(r"[\s\"']+", started):
            yield path


def written(text: str) -> dict[str, str]:
    """The properties in the [Service] section of a unit file; the last of a name wins."""
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
    """A time span of systemd.time(7), such as `1min 30s`."""
    if not span:
        return DEFAULT_STOP
    if span in ("infinity", "0"):
        return inf
    return sum(float(number) * UNITS_OF_TIME.get(name, 1) for number, name in SPAN.findall(span))


def _shown(name: str) -> dict[str, str]:
    """What systemd has in force, drop-ins included; nothing if it cannot be asked."""
    command = ["systemctl", "show", "--property=User,TimeoutStopUSec,StateDirectory", name]
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
