"""What a request goes through before it has a backend."""

import time
from functools import partial

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import ALLOWED, Request
from blue_green.proxy import share
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.held_body import HeldBody
from blue_green.proxy.served_site import ServedSite, SiteLimits
from blue_green.routing.lease import Lease, Target
from blue_green.routing.trial import Trial
from blue_green.routing.wait_queue import Refused


def check(request: Request, limits: SiteLimits) -> None:
    """Raise `ErrorResponse` for a request that needs no backend."""
    if request.length > limits.max_body > 0:
        raise ErrorResponse(413, f"The request's body is over {limits.max_body} bytes.")
    if request.ends_here:
        raise ErrorResponse(200, "Max-Forwards ends here.", allow=ALLOWED)


def check_maintenance(site: ServedSite, stream: ClientStream) -> None:
    """Raise `ErrorResponse` if maintenance has begun since the request, and applies to it."""
    if site.maintenance is not None and not stream.is_admitted:
        site.maintenance.check(stream.client.remote, stream.request)


async def wait_at_gate(
    site: ServedSite,
    stream: ClientStream,
    received: HeldBody | None,
    *,
    avoid: Target | None,
    trial: Trial | None = None,
) -> Lease:
    """Wait for a lease on a backend, any but `avoid` if possible; raise `ErrorResponse`.

    `received` is the request's body, if that was received already, and `trial` the one that the
    request is assigned to. The time of a wait without a lease is noted in the stream.
    """
    client, lease = stream.client, None
    client.begin_hold(received)
    check = partial(check_maintenance, site, stream)
    try:
        owner = share.of_request(client.remote, stream.request)
        lease = await site.gate.acquire(avoid, owner, trial, check)
        return lease
    except Refused as refused:
        # While nothing runs, those who are admitted to a site in maintenance get its page, too.
        is_down = site.maintenance is not None and site.gate.is_refusing
        notice = site.maintenance.notice if site.maintenance and is_down else None
        raise ErrorResponse(503, str(refused), refused.retry_after, notice=notice) from None
    finally:
        if lease is None:
            stream.held += time.monotonic() - client.held_since
        client.end_hold()
