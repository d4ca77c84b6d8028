"""How many clients there are, for the metrics."""

from attrs import frozen


@frozen
class ClientCounts:
    """The connections, by the version of HTTP, and the requests of HTTP/2."""

    http1_connections: int = 0
    """Also those whose handshake is not complete."""
    http2_connections: int = 0
    http2_streams: int = 0
    """Requests of HTTP/2 in progress, held ones and WebSockets included."""
    over_max_connections: int = 0
    """Requests of HTTP/2 that were refused so far, since all places were taken."""
    over_max_streams: int = 0
    """Those that were refused so far, since their connection had as many as it may."""
