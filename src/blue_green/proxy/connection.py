"""One client connection's life: heads are read and judged, requests answered one by one.

Requests on one connection are answered in order, each before the next is read: what a client
sends early waits in the kernel.
"""

import time
from collections.abc import Callable

import trio

from blue_green.http import fast_path
from blue_green.http.errors import LAST_WORDS, ErrorAnswer, Pages
from blue_green.http.heads import split_head
from blue_green.http.request import BadRequest, Request, read_request
from blue_green.http.tls import NotTls
from blue_green.http.transport import Transport
from blue_green.proxy import access_log
from blue_green.proxy.client import NEVER, Client
from blue_green.proxy.exchange import Exchange, ResponseAborted
from blue_green.proxy.shared import Shared
from blue_green.routing.lease import Outcome
from blue_green.system import log, throttle

NOT_TLS = "This address speaks TLS: ask again with https instead of http."
SLOW_HEAD = ErrorAnswer(408, "The request's head did not come in time.")
LIGHT_HEAD = 4 * 1024
LIGHT_LINES = 40
"""Bytes, and lines, up to which a head is judged in the usual time."""


Answers = Callable[[Client, Request, Shared], Exchange]
"""What is made of each request on a connection."""


async def serve(client: Client, shared: Shared, answers: Answers = Exchange) -> None:
    """Answer the client's requests until it or we have had enough, and close the connection."""
    descriptor = client.transport.sock.fileno()
    shared.disconnects.watch(client.transport.sock, client.hung_up)
    try:
        with client.scope:
            while await _serve_one(client, shared, answers):
                pass
            client.is_parting = True
            client.allow(LAST_WORDS, None, Outcome.ABORTED)
            client.awaited_since = client.due - LAST_WORDS
            await client.transport.lingering_close()
        if not client.is_parting:
            await _break_off(client, shared.pages)
    except OSError:
        pass  # The client is gone, and there is nobody to tell.
    finally:
        shared.disconnects.forget(descriptor)
        client.transport.abort()


async def _break_off(client: Client, pages: Pages) -> None:
    """Close a connection that was cancelled so that the client knows what it may believe."""
    client.is_parting = True
    if client.late is not None and not client.answering:
        with trio.move_on_after(LAST_WORDS):
            await client.transport.send(_written(client.late, client, pages, keep_alive=False))
            await client.transport.lingering_close()
    elif client.is_tunnel or not client.answering:
        client.transport.close()
    else:
        client.transport.abort()  # Half an answer must not look like a whole one.


async def _serve_one(client: Client, shared: Shared, answers: Answers) -> bool:
    """Read and answer one request; whether another one may follow."""
    exchange: Exchange | None = None
    error: ErrorAnswer | None = None
    broken, began = "", 0.0
    try:
        request = await _read_request(client, shared)
        if request is None:
            return False
        began = time.monotonic()
        exchange = answers(client, request, shared)
        client.begin_request(request)
        await exchange.run()
    except BadRequest as bad:
        error = ErrorAnswer(bad.status, str(bad), allow=bad.allow, fault=bad.fault)
    except ErrorAnswer as answer:
        error = answer
    except ResponseAborted as cut:
        broken = str(cut)
        client.transport.abort()
    except OSError as failed:
        broken = f"The connection to the client failed: {failed.strerror}."
        raise
    except Exception:
        broken = "There was an error of ours, which is in the log."
        raise
    finally:
        client.end_request()
        if exchange is not None and exchange.is_whole:
            shared.gate.by_status[exchange.status] += 1
            if shared.settings.access_log:
                seconds = time.monotonic() - began
                form = shared.settings.log_format
                line = access_log.line(client, exchange, seconds, form)
                log.request(line, bare=form == "json")
        elif exchange or error or client.overdue:
            end = access_log.end_of(client, exchange, error, broken, shared.pages)
            _note_end(client, exchange, end, began, shared)
    if error is not None:
        return await _send_error(client, exchange, error, shared)
    client.answering = False
    may_follow = exchange is not None and exchange.keep_alive and not client.transport.closed
    if shared.closing or shared.closing_tls:
        may_follow = may_follow and not shared.is_last(client)
    return may_follow


def _note_end(
    client: Client, exchange: Exchange | None, end: access_log.End, began: float, shared: Shared
) -> None:
    """Count and log a request that was not answered by a backend to the end."""
    shared.gate.by_status[end.status] += 1
    if shared.settings.access_log:
        seconds = time.monotonic() - began if began else 0.0
        form = shared.settings.log_format
        line = access_log.line_of_end(client, exchange, end, seconds, form)
        log.request(line, bare=form == "json")


async def _read_request(client: Client, shared: Shared) -> Request | None:
    """The next request's head, judged; None if the client has no more requests."""
    transport, settings, data, has_begun = client.transport, shared.settings, b"", False
    silence = settings.idle_timeout if client.served else settings.header_timeout
    client.allow(silence, None, Outcome.ABORTED)
    client.late = None  # What the last request should have been told is no answer to anything now.
    client.request = None
    client.head = b""
    client.is_reading = True
    client.awaited_since = client.due - silence
    if client.served and not transport.buffer:
        await transport.readable()  # A new client has sent something already; an old one rarely.
    elif client.served:
        await throttle.wait()  # Who sends requests faster than we answer them is not in a hurry.
    while True:
        if shared.resting is not None:
            await shared.resting.wait()
        more = transport.try_receive(settings.max_head + 3 - len(data))
        if more is None:
            try:
                await transport.readable()
            except NotTls as plain_text:
                client.transport, client.head = Transport(transport.sock), plain_text.first
                raise BadRequest(NOT_TLS) from None
            continue
        if not more:
            return None
        if client.is_ended:
            await trio.lowlevel.checkpoint()  # It came in the moment in which it was too late.
        known = len(data)
        client.head = data = data + more
        request = _parse_fast(client, data, known, settings.max_head)
        if request is None:
            await _let_others_run(transport, data)
            if shared.resting is not None:
                await shared.resting.wait()
            request = _parse(client, data, known, settings.max_head)
        if request is not None:
            client.allow_all_time()
            client.served = True
            client.is_reading = False
            client.awaited_since = NEVER
            return request
        if not has_begun:
            has_begun = True
            client.allow(settings.header_timeout, SLOW_HEAD, Outcome.ABORTED)


def _parse_fast(client: Client, data: bytes, known: int, limit: int) -> Request | None:
    """The request whose head is complete in `data`, if it is, and is plain.

    In the first `known` bytes of `data` its end was not found before.
    """
    end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0) + 4
    if 4 <= end <= limit:
        head = data[:end]
        if request := fast_path.read_request(head):
            client.head = head
            client.transport.buffer = data[end:] + client.transport.buffer
            return request
    return None


async def _let_others_run(transport: Transport, data: bytes) -> None:
    """A checkpoint before a head is judged that takes long, or after many of its pieces."""
    if len(data) > LIGHT_HEAD or data.count(b"\n") > LIGHT_LINES:
        await throttle.wait()
    else:
        await transport.maybe_checkpoint()


def _parse(client: Client, data: bytes, known: int, limit: int) -> Request | None:
    """The request whose head is complete in `data`, if it is; raise `BadRequest`."""
    # RFC 9112 section 2.2: one empty line before a request is to be ignored.
    if data.startswith(b"\r\n"):
        data, known = data[2:], max(0, known - 2)
    try:
        parts = split_head(data, known)
    except ValueError as error:
        raise BadRequest(f"The request is malformed: {error}.") from None
    if parts and len(parts[0]) <= limit:
        client.head, rest = parts
        client.transport.buffer = rest + client.transport.buffer
        return read_request(client.head)
    if len(data) > limit:
        raise BadRequest(f"The request's head is over {limit} bytes.", 431)
    return None


async def _send_error(
    client: Client, exchange: Exchange | None, error: ErrorAnswer, shared: Shared
) -> bool:
    """Answer with the error; whether another request may follow on this connection."""
    if client.answering:
        client.transport.abort()
        return False
    keep = exchange is not None and exchange.uploaded and exchange.keep_alive
    keep &= not shared.is_last(client)
    client.allow(LAST_WORDS, None, Outcome.ABORTED)
    client.late = None
    await client.transport.send(_written(error, client, shared.pages, keep_alive=keep))
    return keep


def _written(error: ErrorAnswer, client: Client, pages: Pages, *, keep_alive: bool) -> bytes:
    """The error in the form that suits who asked."""
    request, connection = client.request, "close"
    if keep_alive and request is not None:
        connection = "keep-alive" if request.version == b"1.0" else ""
    html, head_only = client.wants_html, client.wants_head_only
    return error.write(pages, html=html, head_only=head_only, connection=connection)
