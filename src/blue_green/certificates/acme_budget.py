"""The time and the bytes that an order at a certificate authority may take.

The bounds are kept where the bytes arrive, in the TLS socket: so nothing that an authority sends
gets around them, such as a header without end, or one byte every ten seconds.
"""

import ssl
import time
from typing import Any

ORDER_TIMEOUT = 120.0
"""Seconds for all requests of an order, and the pauses between them."""
REQUEST_TIMEOUT = 15.0
"""Seconds for one request and its response."""
LARGEST_RESPONSE = 1024 * 1024
"""Bytes of a response, with its head."""


class OrderTimeout(Exception):
    """The order has taken as long as it may."""


class ResponseTooLarge(Exception):
    """The authority sends more than any of its responses needs."""


class Budget:
    """What is left of an order's time, and of a response's time and bytes."""

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds` is the time for all requests, by default `ORDER_TIMEOUT`."""
        self._order_ends = time.monotonic() + (ORDER_TIMEOUT if seconds is None else seconds)
        self._request_ends = self._order_ends
        self._bytes_left = LARGEST_RESPONSE

    def begin_request(self) -> None:
        """Give a request its share; raise `OrderTimeout` if there is no time left."""
        limit = min(REQUEST_TIMEOUT, self.seconds_left())
        self._request_ends = time.monotonic() + limit
        self._bytes_left = LARGEST_RESPONSE

    def seconds_left(self) -> float:
        """For the order; raise `OrderTimeout` if there are none."""
        if (left := self._order_ends - time.monotonic()) <= 0:
            raise OrderTimeout
        return left

    def seconds_of_request_left(self) -> float:
        """Raise `TimeoutError` if there are none."""
        if (left := self._request_ends - time.monotonic()) <= 0:
            raise TimeoutError
        return left

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the order; raise `OrderTimeout` there."""
        time.sleep(min(seconds, self.seconds_left()))

    def spend(self, count: int) -> None:
        """Account for bytes that have arrived; raise `ResponseTooLarge`."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ResponseTooLarge


class BudgetContext(ssl.SSLContext):
    """A client's context whose sockets keep to a budget. It trusts nobody yet."""

    budget: Budget

    def __new__(cls, budget: Budget) -> "BudgetContext":
        # Not create_default_context(), which heeds $SSLKEYLOGFILE.
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.budget = budget
        context.sslsocket_class = BudgetSocket
        return context

    def __init__(self, budget: Budget) -> None:
        """See `__new__`."""


class BudgetSocket(ssl.SSLSocket):
    """A TLS socket that keeps to the budget of its context.

    A timeout of `ssl` is for one operation as a whole, also for a handshake that takes many turns.
    """

    context: BudgetContext

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.context.budget.seconds_of_request_left())
        super().do_handshake(block)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        budget = self.context.budget
        self.settimeout(budget.seconds_of_request_left())
        count = super().recv_into(buffer, nbytes, flags)
        budget.spend(count)
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        self.settimeout(self.context.budget.seconds_of_request_left())
        return super().send(data, flags)
