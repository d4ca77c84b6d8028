"""Addresses that cannot be listened on, in words."""

import socket
from typing import Any

import pytest

from blue_green.config.kinds import Endpoint
from blue_green.http.sockets import CannotListen, open_socket


def test_a_low_port_without_the_capability_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(CannotListen) as refused:
        open_socket(Endpoint("::", 80), "[proxy.tls] redirect")
    assert str(refused.value) == (
        "[proxy.tls] redirect: cannot listen on [::]:80: Permission denied: ports below 1024 need "
        "the capability CAP_NET_BIND_SERVICE, or root"
    )
