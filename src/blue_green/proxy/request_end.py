"""The end of a request, of whatever version of HTTP: it is counted and logged."""

import time

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import BadRequest
from blue_green.proxy import access_log
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.shared import Shared

UNHANDLED = "An unhandled exception, which is in the log."


def response_to(bad: BadRequest) -> ErrorResponse:
    """The response to a request that is not served."""
    return ErrorResponse(bad.status, str(bad), allow=bad.allow, fault=bad.fault)


def failed(error: OSError) -> str:
    """Why a response broke off whose client is gone."""
    return f"The connection to the client failed: {error.strerror}."


def note_response(stream: ClientStream, began: float, shared: Shared) -> None:
    """Count and log a request that got a whole response of a handler."""
    site = stream.client.site
    by_status = site.gate.by_status if site else shared.by_status
    by_status[stream.status] += 1
    if shared.settings.access_log:
        access_log.log(stream, time.monotonic() - began, shared.settings.log_format)


def note_end(
    client: Client, stream: ClientStream | None, end: access_log.End, began: float, shared: Shared
) -> None:
    """Count and log a request that got none. It began at 0 if it has no proper head."""
    by_status = client.site.gate.by_status if client.site else shared.by_status
    by_status[end.status] += 1
    if shared.settings.access_log:
        seconds = time.monotonic() - began if began else 0.0
        access_log.log_end(client, stream, end, seconds, shared.settings.log_format)
