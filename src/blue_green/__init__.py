"""Zero-downtime deploys on a single server."""

__version__ = "0.1.0"
