"""`exec`: what a client needs to run a command in the live release, in the place of the app."""

import re
from pathlib import Path
from typing import Any

from attrs import asdict, define

from blue_green.config.placeholders import Placeholders
from blue_green.control.server import Refusal, Send
from blue_green.site.site import Site
from blue_green.source.failure import StepFailed
from blue_green.system import supervisor_marker
from blue_green.system.environment import prepare

UMASK = re.compile(r"(?m)^Umask:\s*([0-7]+)$")
"""In /proc/PID/status (proc(5)). umask(2) would change it for all threads."""


@define
class ExecArguments:
    pid: int
    """Of the client, which becomes the command."""


async def exec_(site: Site, arguments: ExecArguments, _: Send) -> dict[str, Any]:
    """The directory, the whole environment, and the user of a command in the live release.

    It has secrets. The control socket serves only root and the user that we run as, and each of
    them can become the user of the app: if we are not root, that is us.
    """
    slot = site.slots.live
    if slot is None or slot.release is None:
        raise Refusal("no release is live, so there is nothing to run it in")
    release = slot.release
    try:
        how = await slot.prepare_start()
    except StepFailed as failure:
        raise Refusal(str(failure)) from None
    site.exec_sessions.add(arguments.pid, release.path)
    filled = Placeholders(slot.name, release.revision, str(release.path))
    prepared = prepare((), {**how.env, **filled.variables}, how.user, inherits=True)
    env = dict(prepared[1])
    del env[supervisor_marker.NAME]  # It is the client's, and a restart of ours must not end it.
    return {
        "directory": str(how.directory),
        "env": env,
        "user": asdict(how.user),
        "umask": _umask(),
    }


def _umask() -> int:
    found = UMASK.search(Path("/proc/self/status").read_text())
    return int(found[1], 8) if found else 0o022
