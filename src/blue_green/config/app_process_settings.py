"""The settings of a process: a program of a release that takes no requests.

A field is all there is to a setting, as in `site_settings`.
"""

import signal
from typing import Literal

from attrs import field, frozen

from blue_green.config.effects import NextSwap
from blue_green.config.kinds import Argv, Count, Period, Seconds
from blue_green.config.release_kinds import Schedule


@frozen
class AppProcessSettings:
    """A program of the release that takes no requests, such as a queue worker or a scheduler.
    `NAME` is yours: up to 63 letters, digits, hyphens and underscores.

    It runs in the directory of the live release, as the app's user, and starts with the switch to
    that release. If it ends, with whatever exit status, it is started again, after a growing delay.
    """

    command: NextSwap[Argv]
    """The program, which must stay in the foreground. `{slot}`, `{revision}`, `{release}` (the
    directory) and `{instance}` are filled in."""
    count: NextSwap[Count] = Count(1)
    """How many of them run at once. Each finds its number, from 1, in `{instance}` and in
    `$BLUE_GREEN_INSTANCE`."""
    handover: NextSwap[Literal["overlap", "exclusive"]] = "exclusive"
    """How the new release's processes take over. `exclusive`: they start when all old ones of the
    same name have ended, so that two releases never run at once, as a scheduler needs. `overlap`:
    they start while the old ones finish their work, so that there is no pause."""
    schedule: NextSwap[Schedule | None] = None
    """Runs it at these times instead of always, in the time zone of the machine: minute, hour, day
    of the month, month and day of the week, as in crontab(5), or a name such as `@daily`. While one
    still runs, none is started. Default: it always runs."""
    timeout: NextSwap[Period | None] = None
    """How long one run of a `schedule` may take before it is stopped. Default: for ever."""
    env: NextSwap[dict[str, str]] = field(factory=dict)
    """Environment variables for this process, in addition to those of `[app] env`."""
    stop_signal: NextSwap[signal.Signals | None] = None
    """The signal that stops it. Only the program itself gets it, so that a queue worker can let its
    children finish their jobs; what outlives the program gets it then. Default: that of `[app]`."""
    stop_timeout: NextSwap[Seconds | None] = None
    """How long it may take to stop, and so to finish its work, before it is killed with all that it
    has started. Default: that of `[app]`."""
