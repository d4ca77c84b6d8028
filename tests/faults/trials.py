"""A canary and a preview: bring a swap there, and let it go on.

Half of the load belongs to the new release: with a canary, the half of the addresses that it is
for; with a preview, the requests with the cookie of its link.
"""

from typing import TYPE_CHECKING, Any

from tests.support.http_client import HttpClient
from tests.waiting import until

if TYPE_CHECKING:
    from tests.faults.scene import Scene

TRIALS = ("canary", "preview")
OPTIONS: dict[str, dict[str, Any]] = {
    "canary": {"canary": 50, "seconds": 3600},
    "preview": {"preview": True, "seconds": 3600},
}
"""By the phase: what is asked for with the swap. It lasts until somebody promotes it."""


async def both_serve(scene: "Scene") -> None:
    """Wait until clients of both releases have been answered."""
    if scene.phase == "preview":
        scene.traffic.cookie = await _opened(scene)
    begun = len(scene.traffic.sent)

    def releases() -> set[str]:
        return {sent.echo.get("revision", "") for sent in scene.traffic.sent[begun:]}

    await until("both releases serve", lambda: {scene.old, scene.new} <= releases())


async def _opened(scene: "Scene") -> str:
    """Open the secret link; the cookie that it sets."""
    await scene.followed.wait()
    (link,) = scene.events[-1]["links"]
    async with HttpClient(scene.site.port) as http:
        answer = await http.get("/" + link.partition("//")[2].partition("/")[2])
    assert answer.status == 303, answer
    return answer.headers["set-cookie"].partition(";")[0]


async def promote(scene: "Scene", *, fails: bool) -> None:
    """Make the new release live, unless the trial ends by itself since that `fails`."""
    if not fails:
        answer = await scene.site.ask("promote")
        # With two faults, one may have ended it.
        assert answer["event"] == "result" or "no canary" in answer["error"], answer

    async def receipt() -> Any:
        status = await scene.site.status()
        last = status["last_swap"]
        return None if status["step"] or last["revision"] != scene.new else last

    last = await until("the trial has ended", receipt)
    if scene.phase == "preview":  # The swap was followed only until it began.
        scene.events.append({**last, "event": "result"})


async def promote_next(scene: "Scene") -> None:
    """Wait for the next trial of the new release, and make that live."""

    async def is_on_trial() -> bool:
        trial = (await scene.site.status())["trial"]
        return bool(trial and trial["revision"] == scene.new)

    await until("it is on trial again", is_on_trial)
    answer = await scene.site.ask("promote")
    assert (answer["event"], answer["outcome"]) == ("result", "promoted"), answer
