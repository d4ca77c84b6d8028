"""The reverse proxy. It knows the gate and its targets, and nothing of git, swaps or processes.

One request: `listener` accepts a connection, `connection` reads a head and parses it, a handler
such as `exchange` gets a `client_stream`, acquires a lease from the gate, takes a connection from
`pool`, and sends the response on the stream; then the lease ends.

Messages in either direction are framed by us: a head written from parsed fields, and a body whose
end we know. So the two sides never disagree about where a message ends.
"""
