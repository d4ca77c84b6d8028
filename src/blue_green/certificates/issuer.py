"""What an authority does for us: it issues certificates. Two do: one by ACME, and our own."""

from datetime import datetime
from typing import Protocol

from attrs import frozen


class IssueFailed(Exception):
    """The authority has issued no certificate. str() says why, and what to check, in plain words.

    `retry_after` is when it allows another attempt, if it said so.
    """

    def __init__(self, why: str, retry_after: datetime | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


@frozen
class RenewalAdvice:
    """What the authority says about the renewal of a certificate (ACME Renewal Information)."""

    renew_at: datetime | None
    """None if it says nothing."""
    ask_again_at: datetime


class Issuer(Protocol):
    """Its methods may block for up to two minutes, and are called in a thread, for several hosts at
    once. A time limit in each of them is the issuer's duty: a thread cannot be cancelled."""

    @property
    def notice(self) -> str:
        """What people have to do about the authority itself; empty if nothing. Does not block."""

    def issue(self, host: str, attempt: int) -> str:
        """A new key and its certificate chain for this host, as one PEM text, the key first.

        `attempt` counts from 0; the issuer may try another kind of challenge each time. Raises
        `IssueFailed`.
        """

    def advice(self, pem: str) -> RenewalAdvice | None:
        """When to renew this certificate; None if the authority has no say in it.

        Raises `IssueFailed` if it cannot be asked now.
        """
