"""How commands reach the supervisor: one JSON object a line, each way, over a Unix socket.

The client sends one request, `{"command": "swap", ...}`. The answer is any number of objects with
an `event` (`phase` and `done`, for each phase of a swap) and at last one with `event` `result`, or
`error` and a text.
"""
