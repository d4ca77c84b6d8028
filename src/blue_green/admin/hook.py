"""The webhooks, one for each site: a forge notifies us of a push, and we fetch.

A call must prove knowledge of the secret. Its content is not even parsed, since the fetch that
follows gets the commits from the forge itself. GitHub and Gitea (and its forks) sign the body with
HMAC-SHA256; GitLab sends the secret itself.

- https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
- https://docs.gitea.com/usage/webhooks
- https://docs.gitlab.com/user/project/integrations/webhooks
"""

import hashlib
import hmac
import logging
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

import trio

from blue_green.admin.request_body import Message
from blue_green.admin.server import BodyRoute, Methods, Reply
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.system import log, secret

logger = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
LOG_INTERVAL = 60.0
"""Seconds between log lines about refused calls, which anybody can cause."""


class Hooks:
    """The webhooks of all sites."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._hooks = WeakKeyDictionary[Site, Hook]()
        """Those that were called, each for as long as its site exists."""

    def find(self, path: str) -> Methods | None:
        """The route of the webhook with this path, if a site has it."""
        for site in self._sites:
            webhook = site.settings.webhook
            if webhook.path == path and webhook.secret_file is not None:
                hook = self._hooks.setdefault(site, Hook(self._sites.label(site.name)))
                push = partial(hook.push, site, webhook.secret_file)
                return {"POST": BodyRoute(push, MAX_BODY)}
        return None


class Hook:
    """The webhook of a site. Triggers a pull for each authentic call."""

    def __init__(self, label: str) -> None:
        """`label` is the site's name, if the log has to say it."""
        self._label = label
        self._refused = 0
        self._quiet_until = 0.0

    async def push(self, site: Site, secret_file: Path, message: Message) -> Reply:
        """Answer 202 at once, or 403 to any call without proof of the secret."""
        if site.is_stopping:  # No fetch would follow.
            return Reply(503, b"The server is stopping.\n")
        try:
            # In a thread: the disk may be slow, and the HMAC of a megabyte takes milliseconds.
            is_right = await trio.to_thread.run_sync(is_signed, message, secret_file)
        except secret.BadSecret as error:
            self._refuse(f"[webhook] secret_file: {error}")
            return Reply(503, b"The supervisor cannot read its secret: see its log.\n")
        if not is_right:
            self._refuse("no signature with the secret of [webhook]")
            return Reply(403, b"Forbidden.\n")
        site.watch.pull_now()
        return Reply(202, b"A fetch follows.\n")

    def _refuse(self, why: str) -> None:
        self._refused += 1
        if trio.current_time() >= self._quiet_until:
            calls = "1 webhook call" if self._refused == 1 else f"{self._refused} webhook calls"
            with log.about(self._label):
                logger.warning("%s refused: %s", calls, why)
            self._refused = 0
            self._quiet_until = trio.current_time() + LOG_INTERVAL


def is_signed(message: Message, secret_file: Path) -> bool:
    """Whether the sender knows the secret; raise `BadSecret` if there is none.

    One proof is enough: Gitea sends the same one in several fields. Comparisons take constant time.
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
