"""`maintenance`: begin, change, end or show the maintenance of a site."""

import time
from typing import Any, Literal

from attrs import define, field

from blue_green.config.process_settings import ProxySettings
from blue_green.control.server import Refusal
from blue_green.site import maintenance_record
from blue_green.site.broken_site import BrokenSite
from blue_green.site.maintenance_record import LONGEST_TIME, MaintenanceRecord
from blue_green.site.site import Site
from blue_green.supervisor.public_urls import urls
from blue_green.system import moment_text


@define
class MaintenanceArguments:
    do: Literal["on", "off", "show"] = "show"
    message: str = ""
    until: str | None = None
    """A time, or a date and a time, in the time zone of the machine."""
    seconds: float | None = None
    """How long it lasts, in place of `until`."""
    allow: list[str] = field(factory=list)
    secret: bool = False


async def maintenance(
    site: Site | BrokenSite, proxy: ProxySettings, arguments: MaintenanceArguments
) -> dict[str, Any]:
    """Carry it out. The result has the secret links, which no status shows."""
    before = site.maintenance.record
    if arguments.do == "on":
        _begin(site, arguments)
    elif arguments.do == "off":
        site.maintenance.end()
    path, record = site.maintenance.link, site.maintenance.record
    return {
        "was_on": before is not None,
        "maintenance": site.maintenance.as_dict(),
        "until": record and record.until and moment_text.in_full(record.until),
        "links": urls(site.settings, proxy, path) if path else [],
        "dropped": _dropped(before, record) if before and record else [],
    }


def _begin(site: Site | BrokenSite, arguments: MaintenanceArguments) -> None:
    try:
        maintenance_record.check_message(arguments.message)
    except ValueError as error:
        raise Refusal(f"--message {error}", usage=True) from None
    try:
        allow = maintenance_record.networks(arguments.allow)
    except ValueError as error:
        raise Refusal(f"--allow {error}", usage=True) from None
    until = _end(arguments, time.time())
    site.maintenance.begin(
        message=arguments.message, until=until, allow=allow, secret=arguments.secret
    )


def _end(arguments: MaintenanceArguments, now: float) -> float | None:
    text, seconds = arguments.until, arguments.seconds
    if seconds is not None:
        if text is not None:
            raise Refusal("--until and --for exclude each other", usage=True)
        if not 0 < seconds <= LONGEST_TIME:
            raise Refusal("--for must be longer than 0 s and at most a year", usage=True)
        return now + seconds
    return None if text is None else _moment(text, now)


def _moment(text: str, now: float) -> float:
    try:
        until = moment_text.moment(text, now)
    except ValueError as error:
        raise Refusal(f"--until {error} (for a duration: --for 30m)", usage=True) from None
    if until - now > LONGEST_TIME:
        raise Refusal(f"--until {text} is more than a year away", usage=True)
    return until


def _dropped(before: MaintenanceRecord, after: MaintenanceRecord) -> list[str]:
    """What was said before, and is so no more: each `on` says everything anew."""
    lines = []
    if before.message and not after.message:
        lines.append(f"no longer on the page: {before.message}")
    if gone := [text for text in before.allow if text not in after.allow]:
        lines.append(f"no longer admitted: {', '.join(gone)}")
    if before.token and not after.token:
        lines.append("the secret link of before is void")
    return lines
