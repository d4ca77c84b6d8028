"""A server of native gRPC, which speaks HTTP/2 and nothing else."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def say(message: bytes, _: grpc.ServicerContext) -> bytes:
    return b"you said " + message


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(4))
    methods = {"Say": grpc.unary_unary_rpc_method_handler(say, bytes, bytes)}
    handler = grpc.method_handlers_generic_handler("demo.Echo", methods)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.wait_for_termination()
