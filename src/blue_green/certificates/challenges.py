"""The challenges of a certificate authority that are answered now: proof that a host is ours.

An order puts them here and removes them, from a thread; a single operation on a dictionary is
atomic. The answers are for the authority, and harmless for everybody else.
"""

import ssl

from attrs import define, field

ACME_TLS = "acme-tls/1"
"""The ALPN protocol of a connection that only validates a challenge (RFC 8737 section 3)."""


@define
class Challenges:
    """What the proxy answers to the certificate authority."""

    http: dict[str, str] = field(factory=dict)
    """The body for each token below /.well-known/acme-challenge/ (RFC 8555 section 8.3)."""
    tls: dict[str, ssl.SSLContext] = field(factory=dict)
    """For a server name, the context for connections with `ACME_TLS` (RFC 8737)."""
