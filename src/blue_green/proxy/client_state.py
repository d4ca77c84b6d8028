"""The states of a client connection (see `Client`)."""

from enum import Enum


class ClientState(Enum):
    """What the connection is doing, in the order in which it happens."""

    AWAITING_REQUEST = "nothing of a request has arrived"
    READING_HEAD = "part of a request head has arrived"
    IN_REQUEST = "a request has been read, and nothing of the final response has been sent"
    HELD = "its request waits at the gate"
    RESPONDING = "a part of the final response may have been sent"
    STREAMING = "the response is an event stream, which may last for ever"
    TUNNEL = "bytes pass both ways, as for a WebSocket"
    MULTIPLEXED = "its requests are clients of their own, as in HTTP/2"
    REFUSING = "the handler is done, and an error is being sent"
    CLOSING = "all is sent, and the client may still read it"


READING = (ClientState.AWAITING_REQUEST, ClientState.READING_HEAD)
STREAMS = (ClientState.STREAMING, ClientState.TUNNEL)
IN_REQUEST = (
    ClientState.IN_REQUEST,
    ClientState.HELD,
    ClientState.RESPONDING,
    ClientState.STREAMING,
)
RESPONSE_BEGUN = (ClientState.RESPONDING, ClientState.STREAMING, ClientState.TUNNEL)
