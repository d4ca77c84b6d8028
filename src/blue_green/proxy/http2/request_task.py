"""The task of a request on an HTTP/2 connection: have it answered, and count and log it."""

import logging
import time

import trio

from blue_green.http.errors import LINGER_TIMEOUT, ErrorResponse
from blue_green.proxy import access_log
from blue_green.proxy.handler import Handler, ResponseAborted
from blue_green.proxy.http2.stream import Http2Stream
from blue_green.proxy.request_end import UNHANDLED, failed, note_end, note_response
from blue_green.proxy.shared import Shared

logger = logging.getLogger(__name__)


async def serve(stream: Http2Stream, handler: Handler, shared: Shared) -> None:
    """Serve the request. Whatever fails ends its stream, and not the connection.

    If it is cancelled, call `send_final_error` afterwards.
    """
    client, broken, began = stream.client, "", time.monotonic()
    error: ErrorResponse | None = None
    try:
        await handler.handle(stream)
        stream.close()
        stream.is_complete = True
    except ErrorResponse as response:
        if not client.has_left:  # Otherwise nobody gets it.
            error = response
    except ResponseAborted as aborted:
        broken = str(aborted)
    except OSError as gone:
        broken = failed(gone)
    except Exception:
        broken = UNHANDLED
        logger.exception("unhandled exception in a request")
    finally:
        stream.is_complete |= stream.has_all_sent and not broken
        if stream.is_complete:
            note_response(stream, began, shared)
        else:
            end = access_log.end_of(
                client, stream, error, broken or stream.fault, shared.pages_for(client)
            )
            note_end(client, stream, end, began, shared)
    if not stream.is_complete:
        await _send_error(error or client.final_error, stream, shared)


async def send_final_error(stream: Http2Stream, shared: Shared) -> None:
    """Respond to a request that was cancelled, if there is something to say."""
    await _send_error(stream.client.final_error, stream, shared)


async def _send_error(error: ErrorResponse | None, stream: Http2Stream, shared: Shared) -> None:
    """Respond with the error; if there is none, or a response has begun, break that off."""
    client = stream.client
    if error is None or client.has_response or stream.is_reset:
        stream.reset()
        return
    response, body = error.render(shared.pages_for(client), html=client.wants_html)
    rest = stream.respond_now(response, b"" if client.wants_head_only else body)
    with trio.move_on_after(LINGER_TIMEOUT):
        await stream.finish(rest)
