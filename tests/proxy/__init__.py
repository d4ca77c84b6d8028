"""The proxy, tested with raw bytes before a backend that records every byte (see `tests.raw`)."""
