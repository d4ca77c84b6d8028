"""The judge of the fault suite recognises each kind of failure."""

from typing import Any

import pytest

from tests.faults.traffic import Sent, judge

GET = Sent("GET", "/1", "", "200", echo={"path": "/1", "body": ""})
POST = Sent("POST", "/2", "all", "200", echo={"path": "/2", "body": "all"})


def got(sent: Sent, pid: int = 7, **more: Any) -> dict[str, Any]:
    entry = {"method": sent.method, "path": sent.path, "body": sent.body, "pid": pid}
    return {**entry, **more}


def ended(sent: Sent, outcome: str, **headers: str) -> Sent:
    return Sent(sent.method, sent.path, sent.body, outcome, headers=headers)


def test_good_responses_are_not_reported() -> None:
    assert judge([GET, POST], [got(POST), got(GET)], allowed=(), died=()) == []
    again = [got(GET, pid=7), got(GET, pid=8)]
    assert judge([GET], again, allowed=(), died={7}) == []
    refused = ended(GET, "503", **{"retry-after": "3"})
    unreached = Sent("GET", "/1", "", "502", why="The backend could not be reached.")
    assert judge([unreached], [], allowed={"502"}, died=()) == []
    assert judge([refused], [], allowed={"503"}, died=()) == []
    assert judge([ended(POST, "closed")], [], allowed={"closed unseen"}, died=()) == []


@pytest.mark.parametrize(
    ("sent", "seen", "complaint"),
    [
        (GET, [], "no backend got it"),
        (GET, [got(GET), got(GET)], "it was sent again"),
        (GET, [got(GET, pid=9)] * 3, "3 times"),
        (POST, [got(POST, pid=9)] * 2, "2 times"),
        (POST, [got(POST, body="half")], "got something else"),
        (Sent("GET", "/1", "", "200", echo={"path": "/2", "body": ""}), [got(GET)], "another's"),
        (ended(GET, "lost"), [got(GET)], "lost is not"),
        (ended(GET, "500"), [got(GET)], "500 is not"),
        (ended(GET, "503"), [], "without Retry-After"),
        (ended(GET, "502"), [got(GET, pid=9)], "not tried twice"),
        (ended(POST, "closed"), [got(POST)], "closed is not"),
        (GET, [got(GET), got(POST)], "nobody sent it"),
    ],
)
def test_each_kind_of_failure_is_reported(
    sent: Sent, seen: list[dict[str, Any]], complaint: str
) -> None:
    allowed = {"502", "503", "closed unseen"}
    (found,) = judge([sent], seen, allowed=allowed, died={9})
    assert complaint in found
