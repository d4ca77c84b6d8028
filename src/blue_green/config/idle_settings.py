"""The settings of a site that sleeps while nobody uses it.

A field is all there is to a setting, as in `site_settings`.
"""

from typing import Literal

from attrs import frozen

from blue_green.config.effects import Now
from blue_green.config.kinds import Period


@frozen
class IdleSettings:
    """When a site falls asleep: its backends are stopped, and the next request starts them again.
    See [sleep.md](sleep.md)."""

    after: Now[Period | None] = None
    """How long nobody must have used the site. Requests, streams and `blue-green exec` count as
    use; probes, deploys, and files of `[files]` do not. Default: it never falls asleep."""
    processes: Now[Literal["stop", "run"]] = "stop"
    """Whether `[processes]` sleep, too: `stop`, or `run` on. Those with a `schedule` always run at
    their times."""
