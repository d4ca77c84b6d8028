"""A request's head as h11 reads it."""

import h11


def by_h11(head: bytes) -> h11.Request:
    """What somebody else makes of a request's head."""
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
    judge.receive_data(head)
    event = judge.next_event()
    assert isinstance(event, h11.Request)
    assert judge.trailing_data == (b"", False)
    return event
