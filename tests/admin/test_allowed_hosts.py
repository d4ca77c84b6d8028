"""Which Host and Origin the admin address accepts."""

import socket

import pytest

from blue_green.admin.allowed_hosts import is_allowed_host


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("127.0.0.1:8001", True),
        ("[::1]:8001", True),
        ("[fd00::7]", True),
        ("localhost:8001", True),
        ("blog.localhost", True),
        ("web1:8001", True),
        (f"{socket.gethostname()}:8001", True),
        ("evil.example:8001", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example.", False),
    ],
)
def test_a_request_with_a_foreign_host_or_origin_is_refused(host: str, may: bool) -> None:
    assert is_allowed_host(host) is may
