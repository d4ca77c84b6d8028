"""An HTTP/1.1 connection: read a request's head, have a handler respond, and begin again.

The requests of one connection are answered in order, each before the next is read: what a client
sends early waits in the kernel.
"""

import time

import trio

from blue_green.http import fast_path
from blue_green.http.certificate_choice import CERTIFICATE_TIMEOUT, CertificateAwaited
from blue_green.http.clock import date_line
from blue_green.http.errors import LINGER_TIMEOUT, ErrorPages, ErrorResponse
from blue_green.http.handshake import NotTls
from blue_green.http.heads import Framing
from blue_green.http.request import BadRequest, Request
from blue_green.http.response import write_response
from blue_green.http.transport import Transport
from blue_green.proxy import access_log, cookies, hsts
from blue_green.proxy.client import Client
from blue_green.proxy.client_state import ClientState
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.handler import Handler, ResponseAborted
from blue_green.proxy.http1_stream import Http1Stream
from blue_green.proxy.http2.connection import PROTOCOL, Http2Connection
from blue_green.proxy.request_end import UNHANDLED, failed, note_end, note_response, response_to
from blue_green.proxy.shared import Shared
from blue_green.system import throttle

NOT_TLS = "This address speaks TLS: use https instead of http."
SLOW_HEAD = ErrorResponse(408, "The request's head did not arrive in time.")
LIGHT_HEAD = 4 * 1024
LIGHT_LINES = 40
"""Bytes, and lines, up to which parsing a head takes no longer than usual."""
CLOSE = b"Connection: close\r\n"


async def serve(client: Client, shared: Shared, handler: Handler) -> None:
    """Serve the client's requests until one side is done, and close the connection.

    This also does the handshake of TLS, in which the client may choose HTTP/2.
    """
    descriptor = client.transport.sock.fileno()
    if shared.disconnects is not None:
        shared.disconnects.watch(client.transport.sock, client.disconnect)
    try:
        with client.scope:
            while await _serve_one(client, shared, handler):
                pass
            if client.transport.protocol == PROTOCOL:
                await Http2Connection(client, shared, handler).run()
                client.begin_close(shared.settings.idle_timeout)
                if not client.transport.closed:
                    await client.transport.until_acknowledged()
            expects_more = not _sends_no_more(client)
            client.begin_close(LINGER_TIMEOUT)
            await client.transport.lingering_close(expects_more=expects_more)
        if not client.is_closing:
            await _break_off(client, shared.pages_for(client))
    except OSError:
        pass  # The client is gone.
    finally:
        if shared.disconnects is not None:
            shared.disconnects.forget(descriptor)
        client.transport.abort()


def _sends_no_more(client: Client) -> bool:
    """Whether it has been sent a response, and has announced that it will send nothing more."""
    request = client.request
    if request is None or client.state is not ClientState.RESPONDING:
        return False
    return not request.keep_alive and request.framing is Framing.NONE


async def _break_off(client: Client, pages: ErrorPages) -> None:
    """Close a connection that was cancelled, so that the client sees what is complete."""
    error, reason = client.final_error, client.ended_by
    has_half = client.state in (ClientState.RESPONDING, ClientState.STREAMING)
    client.begin_close(LINGER_TIMEOUT)
    if has_half:
        client.transport.abort()  # Half a response must not look like a whole one.
    elif error is None and (reason is EndReason.EVICTED or client.transport.protocol != PROTOCOL):
        client.transport.close()
    elif error is None:
        # A request may be on its way: the client has to read the GOAWAY frame that refuses it.
        with trio.move_on_after(LINGER_TIMEOUT):
            await client.transport.lingering_close()
    else:
        with trio.move_on_after(LINGER_TIMEOUT):
            await client.transport.send(_write_error(error, client, pages, CLOSE))
            await client.transport.lingering_close()


async def _serve_one(client: Client, shared: Shared, handler: Handler) -> bool:
    """Read and answer one request; whether another one may follow."""
    stream: Http1Stream | None = None
    error: ErrorResponse | None = None
    broken, began = "", 0.0
    try:
        request = await _read_request(client, shared)
        if request is None:
            return False
        began = time.monotonic()
        stream = Http1Stream(client, request, shared)
        client.begin_request(request)
        await handler.handle(stream)
        stream.is_complete = True
    except BadRequest as bad:
        error = response_to(bad)
    except ErrorResponse as response:
        error = response
    except ResponseAborted as aborted:
        broken = str(aborted)
        if stream is not None:
            stream.reset()
    except OSError as gone:
        broken = failed(gone)
        raise
    except Exception:
        broken = UNHANDLED
        raise
    finally:
        if stream is not None and stream.is_complete:
            note_response(stream, began, shared)
        elif stream or error or client.final_error:
            end = access_log.end_of(client, stream, error, broken, shared.pages_for(client))
            note_end(client, stream, end, began, shared)
    if error is not None:
        await _send_error(client, stream, error, shared.pages_for(client))
    return stream is not None and stream.keep_alive and not shared.is_last(client)


async def _read_request(client: Client, shared: Shared) -> Request | None:
    """Read and parse the next request's head; None if the client sends no more of HTTP/1.1."""
    transport, settings, data = client.transport, shared.settings, b""
    client.await_request(settings.idle_timeout if client.served else settings.header_timeout)
    if client.served and not transport.buffer:
        await transport.readable()  # A new client has sent something already; an old one rarely.
    elif client.served:
        await throttle.wait()  # A client that pipelines requests must not delay the others.
    while True:
        if shared.quiesced is not None:
            await shared.quiesced.wait()
        more = transport.try_receive(settings.max_head + 3 - len(data))
        if more is None:
            await _wait_for_bytes(client, settings.header_timeout)
            if transport.protocol == PROTOCOL:
                return None
            continue
        if not more:
            return None
        if client.ended_by is not None:
            await trio.lowlevel.checkpoint()  # It arrived just when its time was up.
        known = len(data)
        client.head = data = data + more
        request = _parse_fast(client, data, known, settings.max_head)
        if request is None:
            if not known:
                client.begin_head(settings.header_timeout, SLOW_HEAD)
            await _maybe_checkpoint(transport, data)
            if shared.quiesced is not None:
                await shared.quiesced.wait()
            request = _parse_slow(client, data, known, shared)
        if request is not None:
            return request


async def _wait_for_bytes(client: Client, timeout: float) -> None:
    """Wait until something may have arrived; a new client may have to shake hands first."""
    try:
        await client.transport.readable()
    except NotTls as plain_text:
        client.transport, client.head = Transport(client.transport.sock), plain_text.first
        raise BadRequest(NOT_TLS) from None
    except CertificateAwaited:
        client.await_request(CERTIFICATE_TIMEOUT + timeout)


def _parse_fast(client: Client, data: bytes, known: int, limit: int) -> Request | None:
    """Parse a head that is complete and takes the fast path; otherwise None.

    The first `known` bytes of `data` were searched for its end before.
    """
    end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0) + 4
    if 4 <= end <= limit:
        head = data[:end]
        if request := fast_path.read_request(head):
            client.head = head
            client.transport.buffer = data[end:] + client.transport.buffer
            return request
    return None


async def _maybe_checkpoint(transport: Transport, data: bytes) -> None:
    """A checkpoint before a head that takes long to parse, or after many of its pieces."""
    if len(data) > LIGHT_HEAD or data.count(b"\n") > LIGHT_LINES:
        await throttle.wait()
    else:
        await transport.maybe_checkpoint()


def _parse_slow(client: Client, data: bytes, known: int, shared: Shared) -> Request | None:
    """Parse a head that is complete; None if it is not. Raises `BadRequest`."""
    parsed = shared.parse_head(data, known, shared.settings.max_head)
    if parsed is None:
        return None
    request, client.head, rest = parsed
    client.transport.buffer = rest + client.transport.buffer
    return request


async def _send_error(
    client: Client, stream: Http1Stream | None, error: ErrorResponse, pages: ErrorPages
) -> None:
    """Respond with the error, if no response has begun."""
    if stream is not None and client.has_response:
        stream.reset()
        return
    lines, set_cookie = CLOSE, b""
    if stream is not None:
        stream.check_keep_alive()
        lines, set_cookie = stream.connection_lines, stream.set_cookie
    client.begin_error(LINGER_TIMEOUT)
    await client.transport.send(_write_error(error, client, pages, lines, set_cookie))


def _write_error(
    error: ErrorResponse, client: Client, pages: ErrorPages, lines: bytes, set_cookie: bytes = b""
) -> bytes:
    """The error as a whole response, with these lines about the connection, and this cookie."""
    response, body = error.render(pages, html=client.wants_html)
    lines += date_line() + hsts.lines_for(client, response.lines)
    if set_cookie:
        lines += cookies.lines_for(set_cookie, response)
    head = write_response(response, lines)
    return head if client.wants_head_only else head + body
