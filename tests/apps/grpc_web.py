"""A gRPC-Web service for gunicorn, made with sonora, whose messages are bytes of any kind."""

import time
from collections.abc import Iterator
from typing import Any
from wsgiref.types import StartResponse

import grpc
from sonora.wsgi import grpcWSGI


def say(message: bytes, _: grpc.ServicerContext) -> bytes:
    return b"you said " + message


def count(message: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(int(message)):
        yield b"%d" % number
        time.sleep(0.1)


def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_code(grpc.StatusCode.PERMISSION_DENIED)
    return b""


METHODS = {
    "Say": grpc.unary_unary_rpc_method_handler(say, bytes, bytes),
    "Count": grpc.unary_stream_rpc_method_handler(count, bytes, bytes),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse, bytes, bytes),
}


def page(_: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """What is not gRPC-Web."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


app = grpcWSGI(page)
app.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Echo", METHODS),))
