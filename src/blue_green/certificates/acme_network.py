"""Requests to an ACME authority, bounded in time, bytes, redirects and repetitions."""

import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from acme import messages
from acme.client import ClientNetwork
from josepy.jwa import ES256
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

import blue_green
from blue_green.certificates import retry_after
from blue_green.certificates.acme_budget import Budget, BudgetContext
from blue_green.system import files

logging.getLogger("acme").setLevel(logging.INFO)  # Below that, it logs bodies.

USER_AGENT = f"blue-green/{blue_green.__version__} acme-python"
LARGEST_ROOTS = 1024 * 1024
CONNECT_TIMEOUT = 7.0
"""Seconds for one address: the authority usually has one of IPv6 and one of IPv4."""
ATTEMPTS_WITH_NONCE = 20
"""How often a request is repeated because the authority refuses its nonce, which it may at any time
(RFC 8555 section 6.5)."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds between two looks at something that the authority works on."""
LONGEST_WISH = 10.0
"""Seconds of a pause that the authority asks for."""


class BadRoots(Exception):
    """The file of `directory_root` cannot be used; str() says why."""


class NoDirectory(Exception):
    """The URL of `directory` leads to something that is no ACME directory."""


class Redirected(Exception):
    """The authority redirects a request. str() is the new URL."""


class Compressed(Exception):
    """The authority compresses a response, whose size then has no bound."""


class AcmeNetwork(ClientNetwork):
    """The connection to an authority for one order.

    Nothing from the environment has an effect on it: no proxy, no bundle of roots, no ~/.netrc.
    """

    directory: messages.Directory
    """Known after `fetch_directory`."""
    last: requests.Response | None = None
    """The last response that came."""

    def __init__(self, roots: Path | None, budget: Budget) -> None:
        """`roots` is the file of `directory_root`. Raises `BadRoots`."""
        super().__init__(alg=ES256, user_agent=USER_AGENT)
        self.budget = budget
        self.session.trust_env = False
        self.session.adapters.clear()  # Also that for http://.
        self.session.mount("https://", _Adapter(_context(roots, budget)))
        self.session.headers["Accept-Encoding"] = "identity"

    def close(self) -> None:
        self.session.close()

    def fetch_directory(self, url: str) -> None:
        """Find out which URLs the authority has; raise `NoDirectory`."""
        found = self.get(url).json()
        needed = ("newNonce", "newAccount", "newOrder")
        if not isinstance(found, dict) or not all(isinstance(found.get(n), str) for n in needed):
            raise NoDirectory
        self.directory = messages.Directory.from_json(found)

    def fetch(self, url: str) -> requests.Response:
        """What is at this URL of our account (RFC 8555 section 6.3)."""
        return self.post(url, None)

    def poll(self, url: str) -> Iterator[Any]:
        """The JSON at this URL, again and again, with pauses that grow."""
        pause = FIRST_PAUSE
        while True:
            response = self.fetch(url)
            yield response.json()
            wish = retry_after.seconds(response.headers.get("Retry-After"), LONGEST_WISH)
            self.budget.pause(max(pause, wish or 0))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def post(self, url: str, obj: Any, **more: Any) -> requests.Response:
        """As acme's, but repeats a request oftener when the nonce is refused."""
        more.setdefault("new_nonce_url", self.directory["newNonce"])
        for _ in range(ATTEMPTS_WITH_NONCE - 1):
            try:
                return self._post_once(url, obj, **more)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(url, obj, **more)

    def retry_at(self) -> datetime | None:
        """When the authority allows another attempt, if its last response refuses this one."""
        if self.last is None or self.last.ok:
            return None
        return retry_after.moment(self.last.headers.get("Retry-After"), datetime.now(UTC))

    # acme's own logs bodies, and follows redirects.
    def _send_request(self, method: str, url: str, *args: Any, **more: Any) -> requests.Response:
        self.budget.begin_request()
        more.setdefault("headers", {}).setdefault("User-Agent", self.user_agent)
        more["timeout"] = (CONNECT_TIMEOUT, self.budget.seconds_of_request_left())
        more["allow_redirects"] = False
        self.last = None
        response = self.session.request(method, url, *args, **more)
        response.encoding = "utf-8"
        self.last = response
        if response.is_redirect:
            raise Redirected(response.headers.get("Location", ""))
        return response


class _Adapter(HTTPAdapter):
    """Makes connections with our context, which has the authorities to trust; expands nothing."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **more)

    def send(self, *args: Any, **more: Any) -> requests.Response:
        response = super().send(*args, **more)
        if "Content-Encoding" in response.headers:
            response.close()
            raise Compressed
        return response

    def cert_verify(self, *args: Any) -> None:
        """Adds no roots of its own to those of the context."""


def _context(roots: Path | None, budget: Budget) -> ssl.SSLContext:
    context = BudgetContext(budget)
    if roots is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        return context
    try:
        text = files.read_bounded(roots, LARGEST_ROOTS).decode("ascii", "ignore")
        context.load_verify_locations(cadata=text)
    except files.UnfitFile as error:
        raise BadRoots(f"{roots} {error.strerror}") from None
    except (ssl.SSLError, ValueError):
        raise BadRoots(f"{roots} has no certificate in PEM") from None
    except OSError as error:
        raise BadRoots(f"{roots} cannot be read: {error.strerror}") from None
    return context
