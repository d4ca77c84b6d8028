"""A library for tests of the proxy with raw bytes.

`running` (in `proxy`) starts the real proxy in this process, before a backend that does what a
script says and records every byte; a test connects to it with a `Peer`, sends bytes, and reads
bytes or whole messages. The library uses no helpers of the end-to-end tests.
"""
