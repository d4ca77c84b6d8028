"""A request to make a revision live, and the clients that follow it."""

import math
from typing import Any

import trio
from attrs import define, field

from blue_green.site.receipt import Receipt
from blue_green.site.trial_plan import TrialPlan
from blue_green.site.trigger import Trigger


@define(eq=False)
class DeployRequest:
    """A revision that is to be live."""

    revision: str
    trigger: Trigger
    retry: bool = False
    """Deploy it even if it is in quarantine or already live."""
    rebuild: bool = False
    """Build it again even if there is a complete release of it."""
    is_head: bool = False
    """HEAD of the checkout moved to it; when the request ends, that HEAD has been handled."""
    plan: TrialPlan | None = None
    """The trial before the switch; None: by the settings."""
    receipt: Receipt | None = None
    _subscribers: list["trio.MemorySendChannel[dict[str, Any]]"] = field(factory=list)

    def subscribe(self) -> "trio.MemoryReceiveChannel[dict[str, Any]]":
        """Events from now on, as objects of the control protocol; ends when there is a receipt."""
        send, receive = trio.open_memory_channel[dict[str, Any]](math.inf)
        self._subscribers.append(send)
        return receive

    def report(self, event: dict[str, Any]) -> None:
        """Send an event to all subscribers."""
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except trio.BrokenResourceError:
                self._subscribers.remove(subscriber)  # The client has gone; the swap goes on.

    def finish(self, receipt: Receipt) -> None:
        """End the request with this receipt."""
        self.receipt = receipt
        for subscriber in self._subscribers:
            subscriber.close()

    def again(self) -> "DeployRequest":
        """The same request, without its subscribers."""
        return DeployRequest(
            self.revision, self.trigger, self.retry, self.rebuild, self.is_head, self.plan
        )
