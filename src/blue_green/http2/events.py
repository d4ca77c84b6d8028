"""What has happened on an HTTP/2 connection, as its `Session` reports it."""

from attrs import frozen

from blue_green.http.heads import Fields
from blue_green.http.request import BadRequest, Request


@frozen
class RequestBegun:
    """A request's head has arrived. Its body, if it has one, follows."""

    stream_id: int
    request: Request
    head: bytes
    """The head of the same request in HTTP/1.1."""


@frozen
class RequestRefused:
    """A request that gets the response of this error; what follows of it is ignored."""

    stream_id: int
    error: BadRequest
    head: bytes


@frozen
class RequestMalformed:
    """A request, or the rest of one, that means nothing. The stream was reset (section 8.1.1)."""

    stream_id: int
    why: str
    head: bytes
    """As much of the head as is known, for the access log."""


@frozen
class RequestOverLimit:
    """A request over `max_streams`, whose stream was reset: the client may repeat it."""

    stream_id: int


@frozen
class DataArrived:
    """Some bytes of a request's body, or of a tunnel."""

    stream_id: int
    data: bytes


@frozen
class RequestEnded:
    """The client will send nothing more on this stream."""

    stream_id: int
    trailers: Fields


@frozen
class StreamReset:
    """The client has taken the request back, or its window was overrun."""

    stream_id: int


@frozen
class WindowOpened:
    """More can be sent on this stream; on all of them if it is 0."""

    stream_id: int


@frozen
class PingAnswered:
    """The client has read everything that was sent before our ping."""


@frozen
class ClientLeaves:
    """The client will begin no more requests on this connection (GOAWAY)."""


Event = (
    RequestBegun
    | RequestRefused
    | RequestMalformed
    | RequestOverLimit
    | DataArrived
    | RequestEnded
    | StreamReset
    | WindowOpened
    | PingAnswered
    | ClientLeaves
)
