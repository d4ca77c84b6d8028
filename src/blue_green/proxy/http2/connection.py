"""An HTTP/2 connection: one task reads its frames, another one writes, and each stream has its own.

Streams share the connection and nothing else: each is a request with a client, a lease, timeouts
and a line in the access log of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import trio

from blue_green.http.clock import date_line
from blue_green.http.errors import LINGER_TIMEOUT
from blue_green.http2.events import (
    Event,
    PingAnswered,
    RequestBegun,
    RequestMalformed,
    RequestOverLimit,
    RequestRefused,
    WindowOpened,
)
from blue_green.http2.response_heads import response_fields
from blue_green.http2.session import ErrorCodes, Session, SessionOver
from blue_green.proxy.access_log import End
from blue_green.proxy.client import Client
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.handler import Handler
from blue_green.proxy.http2.frame_writer import MOST_COLLECTED, FrameWriter
from blue_green.proxy.http2.stream import STREAM_EVENTS, Http2Stream
from blue_green.proxy.http2.stream_workers import StreamWorkers
from blue_green.proxy.http2.unread import UnreadBytes
from blue_green.proxy.request_end import note_end, response_to
from blue_green.proxy.shared import Shared
from blue_green.routing.lease import Outcome
from blue_green.system import throttle

PROTOCOL = "h2"
"""What a client chooses in the handshake of TLS (RFC 9113 section 3.2)."""
ANNOUNCEMENT = 1.0
"""Seconds for a client to read that it should send no more requests on this connection."""
MOST_REPLIES = 64 * 1024
"""Bytes of replies to frames: from a client that does not read them, nothing more is read."""
MOST_BEGUN = 64
"""Streams of all connections that begin in one iteration of the event loop, about."""
MOST_ENDED = 8
"""Streams of one connection that are broken off in one iteration."""


class Http2Connection:
    """One connection, from the client's preface on."""

    def __init__(self, client: Client, shared: Shared, handler: Handler) -> None:
        self._client = client
        self._shared = shared
        self._handler = handler
        self._transport = client.transport
        self._session = Session(shared.http2)
        self._reading = trio.CancelScope()
        self._writer = FrameWriter(self._transport, self._session, self._reading.cancel)
        self._streams: dict[int, Http2Stream] = {}
        self._unread = UnreadBytes(shared.unread)
        self._ended_by = EndReason.DISCONNECTED
        """Why the requests end that are in progress when nothing more is read."""
        self._is_reading_head = False
        self._has_announced = False
        """The client has been asked to send no more requests."""
        self._refuses = False
        """It has read that, and what it sends now is ignored."""

    async def run(self) -> None:
        """Serve the client's streams until one side is done."""
        self._client.remote.use_http2()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._writer.run)
                self._workers = StreamWorkers(
                    nursery, self._handler, self._shared, self._end_stream
                )
                with self._announcing(nursery), self._reading:
                    await self._read()
                await self._break_off_streams(self._ended_by)
                self._session.refuse_streams()
                patience = self._shared.settings.idle_timeout if self._refuses else LINGER_TIMEOUT
                with trio.move_on_after(patience):
                    await self._writer.until_drained()
                nursery.cancel_scope.cancel()
        finally:
            self._session.refuse_streams()
            self._writer.flush()
            self._session.close()
            del self._workers  # They refer to this connection.

    async def _read(self) -> None:
        """Read until the client sends no more, or must not."""
        client, session, transport = self._client, self._session, self._transport
        shared, unread = self._shared, self._unread
        client.await_request(shared.settings.header_timeout)
        try:
            while True:
                while session.has_frame:
                    if session.is_heavy:
                        await throttle.wait_for_long()
                    for event in session.step():
                        self._handle(event)
                        if isinstance(event, RequestRefused):  # h11 has parsed it, slowly.
                            await throttle.wait_for_long()
                    if self._writer.collected > MOST_COLLECTED + MOST_REPLIES:
                        await self._until_drained()
                    if unread.are_too_many:
                        await unread.until_fewer()
                    if shared.begun_streams >= MOST_BEGUN:
                        await throttle.wait()
                    await transport.maybe_checkpoint()
                self._note_head()
                self._writer.flush_soon()
                await transport.readable()
                data = transport.try_receive()
                if data:
                    session.receive(data)
                    await transport.maybe_checkpoint()  # It may be a byte of a frame.
                elif data is not None:
                    return
        except SessionOver as over:
            self._ended_by = EndReason.BROKE_RULES
            self._log_malformed(b"", f"The connection ended: {over}.")
        except OSError:
            pass  # The client is gone.

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestBegun):
            self._begin_stream(event)
        elif isinstance(event, STREAM_EVENTS) and event.stream_id:
            if known := self._streams.get(event.stream_id):
                known.note(event)
            elif isinstance(event, RequestMalformed):
                self._log_malformed(event.head, event.why)
        elif isinstance(event, WindowOpened):
            self._writer.pass_on()
            for stream in self._streams.values():
                stream.note(event)
        elif isinstance(event, RequestRefused):
            self._refuse(event)
        elif isinstance(event, RequestOverLimit):
            self._shared.over_max_streams += 1
        elif isinstance(event, PingAnswered) and self._has_announced:
            self._refuse_streams()

    def _begin_stream(self, event: RequestBegun) -> None:
        client = Client(self._transport, self._client.remote, is_one_of_many=True)
        if self._is_reading_head:  # This is the one that it waited for, and not the next one.
            self._is_reading_head = False
            self._stop_waiting()
        if not self._streams:
            self._client.begin_multiplexing()  # Or it might be evicted in favour of this request.
        admission = self._shared.admission
        if admission is not None and not admission.admit(client):
            self._session.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            self._await_request_if_idle()
            return
        self._client.requests.add(client)
        stream = Http2Stream(
            event, client, self._shared, self._writer, self._session, unread=self._unread
        )
        self._streams[event.stream_id] = stream
        self._writer.is_shared = len(self._streams) > 1
        self._workers.serve(stream)

    def _refuse(self, event: RequestRefused) -> None:
        """Respond with an error to a request that no site gets to see."""
        error = response_to(event.error)
        client = Client(self._transport, self._client.remote)
        client.head = event.head
        response, body = error.render(self._shared.pages, html=False)
        if client.wants_head_only:
            body = b""
        self._session.send_head(
            event.stream_id, response_fields(response, date_line()), end=not body
        )
        if self._writer.send_data(event.stream_id, body, end=True):
            self._session.reset(event.stream_id, ErrorCodes.PROTOCOL_ERROR)  # It has no room.
        self._session.finish(event.stream_id)
        note_end(client, None, End(error.status, error.in_full, len(body)), 0.0, self._shared)

    def _end_stream(self, stream: Http2Stream) -> None:
        stream.close_body()
        self._session.finish(stream.stream_id)
        del self._streams[stream.stream_id]
        self._writer.is_shared = len(self._streams) > 1
        self._client.requests.discard(stream.client)
        if self._shared.admission is not None:
            self._shared.admission.dismiss(stream.client)
        self._await_request_if_idle()
        self._writer.flush_soon()

    def _await_request_if_idle(self) -> None:
        if not self._streams:
            self._client.await_request(self._shared.settings.idle_timeout)
            if self._refuses:
                self._reading.cancel()

    async def _break_off_streams(self, reason: EndReason) -> None:
        for count, stream in enumerate(list(self._streams.values()), 1):
            stream.break_off(reason)
            if count % MOST_ENDED == 0:
                await throttle.wait()

    # --- what the whole connection waits for ---

    def _note_head(self) -> None:
        """Allow a head only so much time from its first frame, as in HTTP/1.1."""
        was, self._is_reading_head = self._is_reading_head, self._session.is_in_head
        if self._is_reading_head and not was:
            timeout = self._shared.settings.header_timeout
            if self._streams:
                self._client.set_timeout(timeout, None, Outcome.ABORTED)
            else:
                self._client.await_client(timeout)
        elif was and not self._is_reading_head:
            self._stop_waiting()

    async def _until_drained(self) -> None:
        self._client.await_client(self._shared.settings.idle_timeout)
        await self._writer.until_drained()
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        """Wait for the client's next request, if it has none; else each waits for itself."""
        if not self._streams:
            settings, served = self._shared.settings, self._client.served
            timeout = settings.idle_timeout if served else settings.header_timeout
            self._client.await_client(timeout)
        else:
            self._client.clear_timeout()
            self._client.stop_waiting()

    # --- the end ---

    @contextmanager
    def _announcing(self, nursery: trio.Nursery) -> Iterator[None]:
        """Announce the last requests when somebody wants it, before this block ends.

        After it, `nursery` may be closed at any moment.
        """
        client = self._client
        client.on_last_requests = partial(self._announce_last_requests, nursery)
        if self._shared.last_streams:
            client.announce_last_requests()
        try:
            yield
        finally:
            client.on_last_requests = None

    def _announce_last_requests(self, nursery: trio.Nursery) -> None:
        """Ask the client to send no more requests; those that are on their way are served.

        When it answers the ping, it has read this (RFC 9113 section 6.8).
        """
        if not self._has_announced:
            self._has_announced = True
            self._session.announce_close()
            self._session.ping()
            self._writer.flush_soon()
            nursery.start_soon(self._refuse_streams_at_last)

    async def _refuse_streams_at_last(self) -> None:
        """Do not wait for ever for a client that does not answer."""
        await trio.sleep(ANNOUNCEMENT)
        self._refuse_streams()

    def _refuse_streams(self) -> None:
        """Ignore new requests from now on: the client knows that it has to repeat them."""
        self._refuses = self._client.sends_last_requests = True
        self._session.refuse_streams()
        self._writer.flush_soon()
        if not self._streams:
            self._reading.cancel()

    def _log_malformed(self, head: bytes, why: str) -> None:
        client = Client(self._transport, self._client.remote)
        client.head = head
        note_end(client, None, End(400, why, 0), 0.0, self._shared)
