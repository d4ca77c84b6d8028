"""One request on its way through the gate to a backend, and the response on its way back."""

import trio

from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Framing
from blue_green.http.request import ALLOWED, write_request
from blue_green.http.response import Response
from blue_green.http.response_reader import UpstreamError
from blue_green.http.transport import BLOCK, Transport
from blue_green.proxy import forwarding, share
from blue_green.proxy.beside import beside
from blue_green.proxy.client import ClientState
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.file_responses import FileResponder
from blue_green.proxy.handler import ResponseAborted
from blue_green.proxy.path_prefix import strip
from blue_green.proxy.pool import MAX_INTERIM, Unreachable, Upstream
from blue_green.proxy.relay import NO_FIELDS, BadBody, body_of
from blue_green.proxy.served_site import ServedSite
from blue_green.proxy.streams import Ending, relay_events, tunnel, websocket
from blue_green.proxy.upload import TOO_SLOW, Upload
from blue_green.routing.lease import Lease, Outcome, Target
from blue_green.routing.router import Route
from blue_green.routing.waiter import Refused

# Python 3.11 looks members of an enum up ten times as slowly as names of a module.
_NO_BODY, _LENGTH, _RESPONDED = Framing.NONE, Framing.LENGTH, Outcome.RESPONDED

DIALS = 3
"""How often a backend may refuse a connection before the request is given up."""

LOST_AT_LATEST = 0.25
"""Seconds to wait, after a failure, for the supervisor to notice that the backend died; after each
failed dial by so much longer, since on a busy machine the end of a process takes its time."""


class Exchange:
    """One request, until its response has been sent."""

    _lease: Lease | None = None
    _upstream: Upstream | None = None
    """The connection to the backend that has the request; None while it is dialled."""
    _dial = trio.CancelScope()
    """Set anew for each dial."""
    _stripped = b""
    """The prefix that was removed from the path."""
    _target: bytes | None = None
    """The request's target without it."""
    _is_moved = False
    """The backend has to stop, and another one can respond: a broken connection is no failure."""

    def __init__(self, stream: ClientStream, route: Route[ServedSite], idle_timeout: float) -> None:
        self._stream = stream
        self._client = stream.client
        self._request = stream.request
        self._route, site = route, route.site
        self._gate = site.gate
        self._pool = site.pool
        self._limits = site.limits
        self._idle_timeout = idle_timeout
        if route.stripped:
            self._stripped = route.stripped
            self._target = strip(stream.request.target, route.stripped)
        self._files = site.files  # An app has no file for the request in these.
        self._is_uploaded = stream.request.framing is _NO_BODY
        """The backend was sent all of the request."""

    async def run(self) -> None:
        """Send a response; raise as `Handler.handle` does."""
        if self._request.length or self._request.ends_here:
            self._check_request()
        dials, repeated = 0, False
        failed: Target | None = None
        while True:
            lease = self._gate.acquire_now(failed) or await self._wait_at_gate(failed)
            self._lease = lease
            self._stream.held += lease.held
            self._stream.target = lease.target
            lease.cut = self._cut
            self._is_moved = False
            outcome = None
            try:
                if not lease.held or not await self._respond_with_file():
                    await self._at_backend(lease)
                outcome = _RESPONDED
                return
            except Unreachable as error:
                dials += not self._is_moved
                outcome = Outcome.FAILED if dials == DIALS else Outcome.RETRIED
                if dials == DIALS:
                    why = "The backend could not be reached."
                    raise ErrorResponse(502, why, 1, fault=str(error)) from None
            except UpstreamError as broken:
                may_repeat = broken.before_response and self._request.may_repeat
                may_repeat &= self._is_moved or not repeated
                outcome = Outcome.RETRIED if may_repeat else Outcome.FAILED
                if not may_repeat:
                    why = "The backend sent no valid response."
                    raise ErrorResponse(502, why, fault=str(broken)) from None
                repeated |= not self._is_moved
            except ResponseAborted:
                outcome = Outcome.FAILED
                raise
            except (ErrorResponse, OSError):
                outcome = Outcome.ABORTED  # It was the client.
                raise
            finally:
                lease.end(outcome or self._client.final_outcome)
            self._client.clear_timeout()
            failed = lease.target
            with trio.move_on_after(LOST_AT_LATEST * (1 + dials)):
                await failed.lost.wait()

    def _check_request(self) -> None:
        """Raise `ErrorResponse` for a request that needs no backend."""
        if self._request.length > self._limits.max_body > 0:
            raise ErrorResponse(413, f"The request's body is over {self._limits.max_body} bytes.")
        if self._request.ends_here:
            raise ErrorResponse(200, "Max-Forwards ends here.", allow=ALLOWED)

    def _cut(self) -> bool:
        """Take the request away from its backend; whether the client loses it by that.

        A request that may be sent again, and has no byte of a response, goes back to the gate.
        """
        if self._upstream is None:
            self._is_moved = True
            self._dial.cancel()
            return False
        if (
            not self._request.may_repeat
            or self._client.has_response
            or self._upstream.reader.has_begun
        ):
            return self._client.cut()
        self._is_moved = True
        self._upstream.break_off()
        return False

    async def _wait_at_gate(self, failed: Target | None) -> Lease:
        self._client.begin_hold()
        try:
            owner = share.of_request(self._client.remote, self._request)
            return await self._gate.acquire(failed, owner)
        except Refused as refused:
            raise ErrorResponse(503, str(refused), refused.retry_after) from None
        finally:
            self._client.end_hold()

    async def _at_backend(self, lease: Lease) -> None:
        request = self._request
        upstream = self._pool.take(lease.target, may_repeat=request.may_repeat)
        if upstream is None:
            if lease.target.is_static:
                await self._respond_with_file()
                return
            upstream = await self._dial_to(lease.target)
        self._upstream = upstream
        lease.sock, lease.progress = upstream.transport.sock, self._stream
        reusable = False
        try:
            request_id = self._stream.request_id
            lines = forwarding.lines(self._client.remote, request, request_id, self._stripped)
            head = write_request(request, lease.target.default_host, lines, self._target)
            has_body = request.framing is not _NO_BODY
            body = self._stream.take_body(BLOCK) if has_body else b""
            if body is None:
                reusable = await self._respond_beside_upload(upstream, lease, head)
            elif rest := self._send_now(upstream, head + body):
                reusable = await self._respond_beside_upload(upstream, lease, bytes(rest))
            else:
                self._is_uploaded = True
                reusable = await self._respond(upstream, lease)
        finally:
            if reusable:
                self._pool.give_back(upstream)
            elif self._client.state is ClientState.TUNNEL:
                upstream.transport.close()  # It may still have to read what was sent last.
            else:
                upstream.transport.abort()

    async def _respond_with_file(self) -> bool:
        """Respond with a file of a release that went live while the request waited, if it has one.

        Otherwise an app would be asked for its files after a restart, and a static site for none.
        """
        files = self._route.site.files
        if files is None or (files is self._files and files.has_app):
            return False
        return await FileResponder(self._stream, files, self._route).run()

    async def _dial_to(self, target: Target) -> Upstream:
        self._upstream = None
        with trio.CancelScope() as self._dial:
            return await self._pool.dial(target)
        raise Unreachable("it is to stop")

    def _send_now(self, upstream: Upstream, data: bytes) -> bytes | memoryview:
        """Send what can be sent at once; what is left. If it fails, reading the response will."""
        self._client.await_backend(self._limits.response_timeout, TOO_SLOW)
        try:
            return upstream.transport.send_now(data)
        except OSError:
            return b""

    async def _respond_beside_upload(self, upstream: Upstream, lease: Lease, head: bytes) -> bool:
        """Relay the response, which may begin before all of the request was sent."""
        self._is_uploaded, lease.is_uploading = False, True
        upload = Upload(self._stream, self._limits, self._idle_timeout)
        with trio.CancelScope() as good_so_far:
            async with beside(
                lambda: upload.run(upstream.transport, head, good_so_far, self._note_uploaded)
            ):
                return await self._respond(upstream, lease)
        assert upload.refused is not None
        raise upload.refused

    def _note_uploaded(self) -> None:
        self._is_uploaded = True
        if self._lease is not None:
            self._lease.is_uploading = False

    async def _respond(self, upstream: Upstream, lease: Lease) -> bool:
        """Relay the response; whether the connection to the backend can be used again."""
        response = await upstream.reader.read(self._request)
        if response.status < 200:
            response = await self._after_interim(upstream, response)
        lease.begin_response()
        if response.status == 101:
            await self._tunnel(upstream.transport, response, lease)
            return False
        transport = upstream.transport
        if response.framing is _LENGTH and len(transport.buffer) >= response.length:
            await self._stream.respond(response, transport.take(response.length))
            return self._is_reusable(response)
        # A client can only resume the response to a GET: EventSource sends nothing else.
        is_event_stream = self._request.method == b"GET" and response.is_event_stream
        relay = self._relay_events if is_event_stream else self._relay
        try:
            await relay(transport, response, lease)
        except BadBody as bad:
            raise ResponseAborted(f"The backend's response was cut short: {bad}.") from None
        return self._is_reusable(response) and not is_event_stream

    def _is_reusable(self, response: Response) -> bool:
        """Whether the connection to the backend can take another request."""
        is_free = response.keep_alive and self._is_uploaded
        return is_free and not self._request.has_odd_content

    async def _after_interim(self, upstream: Upstream, response: Response) -> Response:
        """Relay the interim responses, and return the final one."""
        for _ in range(MAX_INTERIM):
            if response.status >= 200 or response.status == 101:
                return response
            await self._stream.send_interim(response)
            response = await upstream.reader.read(self._request)
        raise UpstreamError("it never sent a final response", before_response=False)

    async def _relay(self, transport: Transport, response: Response, _: Lease) -> None:
        """Send the response's head and its body as it arrives."""
        stream = self._stream
        if response.framing is Framing.LENGTH:
            first = transport.take(response.length)
            await stream.start(response, first)
            await stream.send_from(transport, response.length - len(first))
            await stream.end(NO_FIELDS)
            return
        body = body_of(transport, response.framing, 0)
        # A chunk may be long in coming, so the head does not wait for it.
        has_bytes = response.framing is Framing.CLOSE and body.has_arrived
        await stream.start(response, await body.read() if has_bytes else b"")
        while data := await body.read():
            await stream.send(data)
        await stream.end(body.trailers)

    async def _relay_events(self, transport: Transport, response: Response, lease: Lease) -> None:
        """Send an event stream, which may outlive all requests to its backend."""
        stream, end = self._stream, Ending(lease.target)
        lease.become_stream(end.request)
        body = body_of(transport, response.framing, response.length)
        await stream.start(response)
        self._client.begin_events()
        await relay_events(body, stream.send, end)
        await stream.end(body.trailers, close=end.is_due)  # Some clients wait for the close.

    async def _tunnel(self, transport: Transport, response: Response, lease: Lease) -> None:
        stream, end = self._stream, Ending(lease.target)
        is_websocket = (response.upgrade or b"").lower() == b"websocket"
        lease.become_stream(end.request if is_websocket else None)
        client = await stream.upgrade(response)
        if is_websocket:
            await websocket(client, transport, end, stream.count)
        else:
            await tunnel(client, transport, stream.count)
