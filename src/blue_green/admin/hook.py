"""The push hook: a forge tells that something was pushed, and we look what.

Only who knows the secret is listened to, and only to the fact that he calls: what he says is not
even parsed, since the fetch that follows asks the forge itself. GitHub and Gitea (and its kin) sign
the body with HMAC-SHA256; GitLab sends the secret as it is.

- https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
- https://docs.gitea.com/usage/webhooks
- https://docs.gitlab.com/user/project/integrations/webhooks
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from pathlib import Path

import trio

from blue_green.admin.request_body import Message
from blue_green.admin.server import Reply
from blue_green.system import secret

logger = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
QUIET = 60.0
"""Seconds between lines in the log about calls that were turned away: anybody can make them."""


class Hook:
    """Asks for a pull whenever the forge calls."""

    def __init__(self, secret_file: Path, pull: Callable[[], None]) -> None:
        self._secret_file = secret_file
        self._pull = pull
        self._turned_away = 0
        self._quiet_until = 0.0

    async def push(self, message: Message) -> Reply:
        """202 at once, and 403 to who does not know the secret, however he got it wrong."""
        try:
            # A thread: the disk may be slow, and the sum of a megabyte takes more than a moment.
            is_right = await trio.to_thread.run_sync(is_signed, message, self._secret_file)
        except secret.BadSecret as error:
            self._turn_away(f"[webhook] secret_file: {error}")
            return Reply(503, b"The supervisor has no secret to compare with: see its log.\n")
        if not is_right:
            self._turn_away("no signature with the secret of [webhook]")
            return Reply(403, b"Forbidden.\n")
        self._pull()
        return Reply(202, b"A fetch follows.\n")

    def _turn_away(self, why: str) -> None:
        self._turned_away += 1
        if trio.current_time() >= self._quiet_until:
            times = "a call" if self._turned_away == 1 else f"{self._turned_away} calls"
            logger.warning("%s of the webhook turned away: %s", times, why)
            self._turned_away = 0
            self._quiet_until = trio.current_time() + QUIET


def is_signed(message: Message, secret_file: Path) -> bool:
    """Whether it comes from somebody who knows the secret; raise `BadSecret` if there is none.

    One proof is enough: Gitea sends the same one under several names. All comparisons take as long
    as it takes, right or wrong.
    """
    key = secret.read(secret_file)
    signature = hmac.new(key, message.body, hashlib.sha256).hexdigest().encode()
    proofs = [
        (b"x-hub-signature-256", b"sha256=" + signature),
        (b"x-gitea-signature", signature),
        (b"x-gogs-signature", signature),
        (b"x-gitlab-token", key),
    ]
    return any(
        hmac.compare_digest(given, right) for name, right in proofs for given in message.field(name)
    )
