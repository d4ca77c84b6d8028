"""One request on its way through the gate to a backend, and the response on its way back."""

from collections.abc import Awaitable
from functools import partial

import trio

from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Framing
from blue_green.http.request import write_request
from blue_green.http.response import Response
from blue_green.http.response_reader import UpstreamError
from blue_green.http.transport import BLOCK
from blue_green.proxy import entry, forwarding, share
from blue_green.proxy.beside import beside
from blue_green.proxy.buffer import Buffer
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.client_state import ClientState
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.delivery import Delivery
from blue_green.proxy.file_responses import FileResponder
from blue_green.proxy.handler import ResponseAborted
from blue_green.proxy.path_prefix import strip
from blue_green.proxy.pool import Unreachable, Upstream
from blue_green.proxy.received_body import ReceivedBody
from blue_green.proxy.relay import BadBody
from blue_green.proxy.retries import Retries
from blue_green.proxy.secret_link import COOKIE, without_any
from blue_green.proxy.served_site import ServedSite
from blue_green.proxy.streams import serve_events, serve_tunnel
from blue_green.proxy.upload import TOO_SLOW, Upload
from blue_green.routing.lease import Lease, Outcome, Target
from blue_green.routing.router import Route

# Python 3.11 looks members of an enum up ten times as slowly as names of a module.
_NO_BODY, _LENGTH, _RESPONDED = Framing.NONE, Framing.LENGTH, Outcome.RESPONDED


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
    _received: ReceivedBody | None = None
    """The body, as far as it was received before the request came to the gate."""
    _is_released = False
    """The backend is done, and only the client takes its time."""

    def __init__(
        self,
        stream: ClientStream,
        route: Route[ServedSite],
        space: BufferSpace,
        idle_timeout: float,
    ) -> None:
        self._stream = stream
        self._client = stream.client
        self._request = stream.request
        self._route = route
        self._site = site = route.site
        self._space = space
        self._gate = site.gate
        self._pool = site.pool
        self._limits = site.limits
        self._idle_timeout = idle_timeout
        self._trial = None if stream.trial is None else stream.trial.trial
        if route.stripped:
            self._stripped = route.stripped
            self._target = strip(stream.request.target, route.stripped)
        # An app has no file for the request in these.
        self._files = site.files if stream.trial is None else stream.trial.files
        self._is_uploaded = stream.request.framing is _NO_BODY
        """The backend was sent all of the request."""

    def run(self) -> Awaitable[None]:
        """Send a response; raise as `Handler.handle` does."""
        request = self._request
        if request.length or request.ends_here:
            entry.check(request, self._limits)
        if (
            request.framing is _NO_BODY
            or not self._limits.buffer_requests
            or self._stream.has_body(BLOCK)
            or self._gate.is_refusing
        ):
            return self._run()
        return self._receive_and_run()

    async def _receive_and_run(self) -> None:
        """Receive the body first, so that a slow client keeps no backend busy."""
        with Buffer(self._space, self._site.buffered, self._limits.buffer_requests) as buffer:
            body = ReceivedBody(self._stream, buffer, self._limits.max_body)
            await body.receive(self._idle_timeout)
            self._site.buffered.requests += 1
            self._received, self._request = body, body.request()
            entry.check_maintenance(self._site, self._stream)
            await self._run()

    async def _run(self) -> None:
        retries: Retries | None = None
        failed: Target | None = None
        while True:
            lease = self._gate.acquire_now(failed, self._trial) or await entry.wait_at_gate(
                self._site, self._stream, self._received, avoid=failed, trial=self._trial
            )
            self._lease = lease
            self._stream.held += lease.held
            self._stream.target = lease.target
            lease.cut, lease.request = self._cut, self
            self._is_moved = False
            outcome = None
            try:
                if not lease.held or not await self._respond_with_file():
                    await self._at_backend(lease)
                outcome = _RESPONDED
                return
            except (Unreachable, UpstreamError) as failure:
                outcome = Outcome.FAILED
                retries = retries or Retries()
                retries.check(failure, self._request, was_moved=self._is_moved)
                outcome = Outcome.RETRIED
            except ResponseAborted:
                outcome = Outcome.FAILED
                raise
            except (ErrorResponse, OSError):
                outcome = Outcome.ABORTED  # It was the client.
                raise
            finally:
                if not self._is_released:
                    lease.end(outcome or self._client.final_outcome)
            self._client.clear_timeout()
            failed = lease.target
            await retries.until_lost(failed)

    @property
    def sent(self) -> int:
        """Bytes of the response's body that the client was sent."""
        return self._stream.sent

    @property
    def may_get_stream(self) -> bool:
        """Whether it asks for a stream, whose head may come with its first event."""
        return self._request.may_get_stream

    def name_client(self) -> str:
        """The client that the request counts for; empty if many clients may have its address."""
        return share.sole_client(self._client.remote, self._request)

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

    async def _at_backend(self, lease: Lease) -> None:
        request = self._request
        upstream = self._pool.take(lease.target, may_repeat=request.may_repeat)
        if upstream is None:
            if lease.target.is_static:
                await self._respond_with_file()
                return
            upstream = await self._dial_to(lease.target)
        self._upstream = upstream
        lease.sock = upstream.transport.sock
        reusable = False
        try:
            request_id = self._stream.request_id
            lines = forwarding.lines(self._client.remote, request, request_id, self._stripped)
            sent = without_any(request) if COOKIE in request.lines else request
            head = write_request(sent, lease.target.default_host, lines, self._target)
            body = self._take_body() if request.framing is not _NO_BODY else b""
            rest = head if body is None else self._send_now(upstream, head + body)
            self._is_uploaded = body is not None and not rest
            del body  # The response may take long, and nothing counts these bytes any more.
            if self._is_uploaded:
                reusable = await self._respond(upstream, lease)
            else:
                reusable = await self._respond_beside_upload(upstream, lease, bytes(rest))
        finally:
            if not self._is_released:
                is_tunnel = self._client.state is ClientState.TUNNEL
                self._pool.take_back(upstream, reusable=reusable, is_read=not is_tunnel)

    def _take_body(self) -> bytes | None:
        """The whole body, if it is here."""
        if self._received is not None:
            return self._received.take()
        return self._stream.take_body(BLOCK)

    def _release(
        self, upstream: Upstream, lease: Lease, response: Response, is_whole: bool
    ) -> None:
        """End the lease, since the backend has sent everything, or has broken off."""
        if self._is_uploaded:  # One that responds early still has to be sent the request.
            self._is_released = True
            self._pool.take_back(upstream, reusable=is_whole and self._is_reusable(response))
            lease.end(_RESPONDED if is_whole else Outcome.FAILED)

    async def _respond_with_file(self) -> bool:
        """Respond with a file of a release that went live while the request waited, if it has one.

        Otherwise an app would be asked for its files after a restart, and a static site for none.
        """
        on_trial, files = self._stream.trial, self._route.site.files
        if on_trial is not None and on_trial.trial.targets:  # Otherwise it has ended.
            files = on_trial.files
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
        body = self._received or self._stream.body(self._limits.max_body)
        self._is_uploaded, lease.is_uploading = False, not body.is_complete
        is_chunked = self._request.framing is Framing.CHUNKED
        upload = Upload(
            self._client, body, self._limits, self._idle_timeout, lease, chunked=is_chunked
        )
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
            self._lease.end_upload()

    async def _respond(self, upstream: Upstream, lease: Lease) -> bool:
        """Relay the response; whether the connection to the backend can be used again."""
        response = await upstream.reader.read(self._request)
        if response.status < 200:
            relay = self._stream.send_interim
            response = await upstream.final_response(self._request, response, relay)
        if response.status == 101:
            lease.begin_response(101, is_stream=True)
            await serve_tunnel(self._stream, upstream.transport, response, lease)
            return False
        transport, stream = upstream.transport, self._stream
        if response.framing is _LENGTH and len(transport.buffer) >= response.length:
            lease.begin_response(response.status)
            if unsent := stream.respond_now(response, transport.take(response.length)):
                delivery = self._delivery(upstream, lease, response)
                await delivery.finish(len(unsent), partial(stream.finish, unsent))
            return self._is_reusable(response)
        # A client can only resume the response to a GET: EventSource sends nothing else.
        is_event_stream = self._request.method == b"GET" and response.is_event_stream
        lease.begin_response(response.status, is_stream=is_event_stream)
        try:
            if is_event_stream:
                await serve_events(stream, transport, response, lease)
            else:
                await self._delivery(upstream, lease, response).run()
        except BadBody as bad:
            raise ResponseAborted(f"The backend's response was cut short: {bad}.") from None
        return self._is_reusable(response) and not is_event_stream

    def _delivery(self, upstream: Upstream, lease: Lease, response: Response) -> Delivery:
        return Delivery(
            self._stream, upstream.transport, response, self._site, self._space, lease,
            partial(self._release, upstream, lease, response),
        )  # fmt: skip

    def _is_reusable(self, response: Response) -> bool:
        """Whether the connection to the backend can take another request."""
        is_free = response.keep_alive and self._is_uploaded
        return is_free and not self._request.has_odd_content
