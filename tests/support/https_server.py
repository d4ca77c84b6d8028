"""A server with a certificate, for real clients."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blue_green.certificates import pem

ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(text: str) -> Iterator[int]:
    """A server with this certificate on a port of its own, for clients one after the other."""
    context = pem.load_text(text, Path("host.pem")).contexts.offering(pem.HTTP1)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client = listening.accept()[0]
                    with suppress(OSError), client, context.wrap_socket(client, True) as tls:
                        tls.recv(4096)
                        tls.sendall(ANSWER)
                        tls.unwrap()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
