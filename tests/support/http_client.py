"""A small HTTP client for tests: one keep-alive connection, h11, and no opinions."""

import json
import select
import ssl
from types import TracebackType
from typing import Any

import h11
import trio
from attrs import frozen


@frozen
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """Sends one request after the other over a connection, which it keeps as long as it can."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "localhost",
    ) -> None:
        """With `tls`, the server must prove that it has this name."""
        self.port = port
        self._tls = tls
        self._server_name = server_name
        self.host = host
        self.connections = 0
        """How many connections it took."""
        self.has_begun = False
        """Something of the answer to the last request has come."""
        self._stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, b"", **headers)

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        return await self.request("POST", path, body, **headers)

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        self.has_begun = False
        if self._was_closed():
            await self.aclose()
        if self._stream is None:
            self._stream = stream = await trio.open_tcp_stream(self.host, self.port)
            if self._tls is not None:
                self._stream = trio.SSLStream(
                    stream, self._tls, server_hostname=self._server_name, https_compatible=True
                )
            self._http = h11.Connection(h11.CLIENT)
            self.connections += 1
        fields = {"Host": "test.example", "Content-Length": str(len(body))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "GET":
            del fields["Content-Length"]
        head = h11.Request(method=method, target=path, headers=list(fields.items()))
        data = self._http.send(head) or b""
        data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._stream.send_all(data)
        answer = await self._read_answer()
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            await self.aclose()
        else:
            self._http.start_next_cycle()
        return answer

    def _was_closed(self) -> bool:
        """Whether the server closed the connection while it was idle, as browsers look, too.

        Only with TLS: where connections are handed over, the tests want to see each one go on.
        """
        if not isinstance(self._stream, trio.SSLStream):
            return False
        poll = select.poll()
        poll.register(self._stream.transport_stream.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _read_answer(self) -> Answer:
        assert self._stream is not None
        response: h11.Response | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self._stream.receive_some()
                self.has_begun |= bool(data)
                self._http.receive_data(bytes(data))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None
                headers = {name.decode(): value.decode() for name, value in response.headers}
                return Answer(response.status_code, headers, body)

    async def aclose(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with trio.move_on_after(1, shield=True):
            await self.aclose()
