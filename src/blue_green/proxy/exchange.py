"""One judged request: through the gate, to a backend, and the answer back."""

import time

import trio

from blue_green.http.clock import date_line
from blue_green.http.errors import ErrorAnswer
from blue_green.http.heads import Framing
from blue_green.http.request import ALLOWED, Request, write_request
from blue_green.http.response import Response, write_response
from blue_green.http.transport import BLOCK, Transport
from blue_green.proxy import forwarding, share
from blue_green.proxy.beside import beside
from blue_green.proxy.client import Client
from blue_green.proxy.pool import MAX_INTERIM, Unreachable, Upstream, UpstreamError
from blue_green.proxy.relay import BadBody, body_of, copy
from blue_green.proxy.shared import Shared
from blue_green.proxy.splice import WORTHWHILE, splice
from blue_green.proxy.streams import Ending, relay_events, tunnel, websocket
from blue_green.proxy.upload import TOO_SLOW, Upload
from blue_green.routing.gate import Refused
from blue_green.routing.lease import Lease, Outcome, Target

DIALS = 3
"""How often a backend may refuse a connection before the request is given up."""

LOST_AT_LATEST = 0.25
"""Seconds to wait, after a failure, for the supervisor to see that the backend died; after each
failed dial by so much longer, since on a busy machine the end of a process takes its time."""


class ResponseAborted(Exception):
    """The answer broke off, as str() says: the client's connection has to be cut, too."""


class Exchange:
    """A request, and what became of it."""

    status = 0
    sent = 0
    """Bytes of the answer's body, or of what went through the tunnel."""
    is_whole = False
    """It was answered, up to the answer's end."""
    held = 0.0
    """Seconds."""
    lease: Lease | None = None
    _upstream: Upstream | None = None
    """The connection to the backend that has the request; None while it is dialled."""
    _dial = trio.CancelScope()
    """Set anew for each dial."""
    _is_moved = False
    """The backend has to stop, and another one can answer: that it breaks off is no failure."""

    def __init__(self, client: Client, request: Request, shared: Shared) -> None:
        self.client = client
        self.request = request
        self.request_id = shared.request_id(client, request)
        self.settings = shared.settings
        self._shared = shared
        self.uploaded = request.framing is Framing.NONE
        """All of the request was read, so another one may follow."""
        self._left = request.length
        """Bytes of its body that are still to be read, if it has a length."""
        self.keep_alive = request.keep_alive

    async def run(self) -> None:
        """Answer the request; raise `ErrorAnswer`, or `ResponseAborted` if one has begun."""
        if self.request.length > self.settings.max_body > 0:
            raise ErrorAnswer(413, f"The request's body is over {self.settings.max_body} bytes.")
        if self.request.ends_here:
            raise ErrorAnswer(200, "Max-Forwards ends here.", allow=ALLOWED)
        dials, repeated = 0, False
        failed: Target | None = None
        while True:
            try:
                lease = self._shared.gate.acquire_now(failed) or await self._wait_at_gate(failed)
            except Refused as refused:
                raise ErrorAnswer(503, str(refused), refused.retry_after) from None
            self.lease = lease
            self.held += lease.held
            lease.cut = self._cut
            self._is_moved = False
            outcome = None
            try:
                await self._at_backend(lease)
                outcome = Outcome.ANSWERED
                self.is_whole = True
                return
            except Unreachable as error:
                dials += not self._is_moved
                outcome = Outcome.FAILED if dials == DIALS else Outcome.RETRIED
                if dials == DIALS:
                    why = "The backend could not be reached."
                    raise ErrorAnswer(502, why, 1, fault=str(error)) from None
            except UpstreamError as broken:
                may_repeat = broken.before_response and self.request.may_repeat
                may_repeat &= self._is_moved or not repeated
                outcome = Outcome.RETRIED if may_repeat else Outcome.FAILED
                if not may_repeat:
                    why = "The backend gave no valid answer."
                    raise ErrorAnswer(502, why, fault=str(broken)) from None
                repeated |= not self._is_moved
            except ResponseAborted:
                outcome = Outcome.FAILED
                raise
            except (ErrorAnswer, OSError):
                outcome = Outcome.ABORTED  # It was the client.
                raise
            finally:
                lease.end(outcome or self.client.outcome)
            self.client.allow_all_time()
            failed = lease.target
            with trio.move_on_after(LOST_AT_LATEST * (1 + dials)):
                await failed.lost.wait()

    def _cut(self) -> bool:
        """End this, for the backend has to stop; whether the client loses its request by that.

        What another backend may answer, and of which nothing was answered, goes back to the gate.
        """
        if self._upstream is None:
            self._is_moved = True
            self._dial.cancel()
            return False
        if (
            not self.request.may_repeat
            or self.client.answering
            or not self._upstream.has_no_response
        ):
            return self.client.cut()
        self._is_moved = True
        self._upstream.break_off()
        return False

    async def _wait_at_gate(self, failed: Target | None) -> Lease:
        self.client.held_since = time.monotonic()
        try:
            owner = share.of_request(self.client, self.request)
            return await self._shared.gate.acquire(failed, owner)
        finally:
            self.client.held_since = None

    async def _at_backend(self, lease: Lease) -> None:
        pool = self._shared.pool
        upstream = pool.take(lease.target, may_repeat=self.request.may_repeat)
        if upstream is None:
            upstream = await self._dial_to(lease.target)
        self._upstream = upstream
        lease.sock = upstream.transport.sock
        reusable = False
        try:
            told = forwarding.lines(self.client, self.request, self.request_id)
            head = write_request(self.request, lease.target.address, told)
            whole = head if self.request.framing is Framing.NONE else self._with_body(head)
            if whole is None:
                reusable = await self._answer_beside_upload(upstream, lease, head)
            elif rest := self._send_now(upstream, whole):
                reusable = await self._answer_beside_upload(upstream, lease, bytes(rest))
            else:
                self.uploaded = True
                reusable = await self._answer(upstream, lease)
        finally:
            if reusable:
                pool.give_back(upstream)
            elif self.client.is_tunnel:
                upstream.transport.close()  # It may still have to read what came last.
            else:
                upstream.transport.abort()

    async def _dial_to(self, target: Target) -> Upstream:
        self._upstream = None
        with trio.CancelScope() as self._dial:
            return await self._shared.pool.dial(target)
        raise Unreachable("it is to stop")

    def _with_body(self, head: bytes) -> bytes | None:
        """The request as a whole, if it has come as a whole, as most do that have a body."""
        request, transport = self.request, self.client.transport
        if request.framing is Framing.CHUNKED or request.length > BLOCK:
            return None
        if not transport.fill_buffer(request.length):
            return None
        self._left = 0
        return head + transport.take(request.length)

    def _send_now(self, upstream: Upstream, data: bytes) -> bytes | memoryview:
        """Send what can be sent at once; what is left. If it fails, the answer will tell."""
        self.client.allow(self.settings.response_timeout, TOO_SLOW, Outcome.OVERDUE)
        try:
            return upstream.transport.send_now(data)
        except OSError:
            return b""

    async def _answer_beside_upload(self, upstream: Upstream, lease: Lease, head: bytes) -> bool:
        """Relay the answer, which may come before all of the request was sent."""
        self.uploaded, lease.is_uploading = False, True
        upload = Upload(self.client, self.request, self._left, self.settings)
        with trio.CancelScope() as good_so_far:
            async with beside(
                lambda: upload.run(upstream.transport, head, good_so_far, self._is_sent)
            ):
                return await self._answer(upstream, lease)
        assert upload.refused is not None
        raise upload.refused

    def _is_sent(self) -> None:
        self.uploaded = True
        if self.lease is not None:
            self.lease.is_uploading = False

    async def _answer(self, upstream: Upstream, lease: Lease) -> bool:
        """Relay the answer; whether the connection can be used again."""
        request, client = self.request, self.client
        answer = await upstream.read_response(request)
        if answer.status < 200:
            answer = await self._after_interim(upstream, answer)
        self.status = answer.status
        lease.begin_answer()
        if answer.status == 101:
            await self._tunnel(upstream, answer, lease)
            return False
        client.allow_all_time()
        unknown = answer.framing in (Framing.CHUNKED, Framing.CLOSE)
        chunked = unknown and request.version == b"1.1"
        self.keep_alive &= self.uploaded and (chunked or not unknown)
        if self._shared.closing or self._shared.closing_tls:
            self.keep_alive &= not self._shared.is_last(client)
        more = self._connection_lines(chunked=chunked)
        head = write_response(answer, more if answer.has_date else date_line() + more)
        client.answering = True
        transport = upstream.transport
        if answer.framing is Framing.LENGTH and len(transport.buffer) >= answer.length:
            rest = client.transport.send_now(head + transport.take(answer.length))
            self.sent = answer.length
            if rest:
                await self._send(rest)
            return self._is_reusable(answer)
        # Only the answer to a GET can be taken up again: EventSource sends nothing else.
        is_event_stream = unknown and request.method == b"GET" and answer.is_event_stream
        try:
            if is_event_stream:
                await self._relay_events(transport, answer, lease, head, chunked=chunked)
            else:
                await self._relay(transport, answer, head, chunked=chunked)
        except BadBody as bad:
            raise ResponseAborted(f"The backend's answer was cut short: {bad}.") from None
        return self._is_reusable(answer) and not is_event_stream

    def _is_reusable(self, answer: Response) -> bool:
        """Whether the connection to the backend can take another request."""
        return answer.keep_alive and self.uploaded and not self.request.has_odd_content

    async def _relay(
        self, transport: Transport, answer: Response, head: bytes, *, chunked: bool
    ) -> None:
        """Send the answer's head and its body in the way that suits it."""
        ready, length = transport.buffer, answer.length
        if answer.framing is Framing.LENGTH and length >= WORTHWHILE:
            transport.buffer = b""
            self.sent = len(ready)
            length -= len(ready)
            await self._send(head + ready)
            if await splice(
                transport, self.client.transport, length, self._until_writable, self._moved
            ):
                return
            head = b""
        elif answer.framing is Framing.CHUNKED or not ready:
            await self._send(head)
            head = b""
        body = body_of(transport, answer.framing, length)
        try:
            await copy(body, self._send, chunked=chunked, head=head)
        finally:
            self.sent += body.count

    async def _after_interim(self, upstream: Upstream, answer: Response) -> Response:
        """Relay the interim answers, and give the final one."""
        for _ in range(MAX_INTERIM):
            if answer.status >= 200 or answer.status == 101:
                return answer
            if self.request.version == b"1.1":
                await self.client.transport.send(write_response(answer))
            answer = await upstream.read_response(self.request)
        raise UpstreamError("it never came to a final answer", before_response=False)

    async def _tunnel(self, upstream: Upstream, answer: Response, lease: Lease) -> None:
        client = self.client
        client.end_request()  # What the client may still end is its half of the tunnel.
        client.is_tunnel = client.is_stream = client.answering = True
        client.allow_all_time()
        self.keep_alive = False
        protocol, end = answer.upgrade or b"", Ending(lease.target)
        is_websocket = protocol.lower() == b"websocket"
        lease.become_stream(end.ask if is_websocket else None)
        upgrade = b"Connection: upgrade\r\nUpgrade: %b\r\n" % protocol
        await client.transport.send(write_response(answer, upgrade))
        if is_websocket:
            await websocket(client.transport, upstream.transport, end, self._moved)
        else:
            await tunnel(client.transport, upstream.transport, self._moved)

    async def _relay_events(
        self, transport: Transport, answer: Response, lease: Lease, head: bytes, *, chunked: bool
    ) -> None:
        """Send an event stream. It may outlive what its backend still has to answer."""
        end = Ending(lease.target)
        lease.become_stream(end.ask)
        self.client.is_stream = True
        body = body_of(transport, answer.framing, answer.length)
        try:
            await self._send(head)
            await relay_events(body, self._send, end, chunked=chunked)
            self.keep_alive &= not end.is_due  # Some clients only see the end of the connection.
        finally:
            self.sent = body.count
            self.client.is_stream = False

    def _moved(self, count: int) -> None:
        self.sent += count

    async def _until_writable(self) -> None:
        await self.client.until_writable(self.settings.idle_timeout)

    async def _send(self, data: bytes | memoryview) -> None:
        await self.client.send(data, self.settings.idle_timeout)

    def _connection_lines(self, *, chunked: bool) -> bytes:
        lines = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if not self.keep_alive:
            return lines + b"Connection: close\r\n"
        return lines + (b"Connection: keep-alive\r\n" if self.request.version == b"1.0" else b"")
