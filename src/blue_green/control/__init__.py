"""The control protocol: one JSON object per line, in both directions, over a Unix socket.

The client sends one request, `{"command": "swap", ...}`. The response is any number of objects with
an `event` (`phase` and `done`, for each phase of a swap), and at the end one whose `event` is
`result`, or `error` with a text.
"""
