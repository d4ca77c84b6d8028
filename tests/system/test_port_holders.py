"""Which processes listen on a port."""

import os
import socket
import sys
from pathlib import Path

from blue_green.system import port_holders
from blue_green.system.port_holders import ListeningSocket
from tests.support.left_behind import SLEEP, left_behind
from tests.support.processes import US
from tests.support.site import free_ports


def test_the_process_that_listens_on_a_port_is_found() -> None:
    (port,) = free_ports(1)
    program = f"import socket; s = socket.create_server(('127.0.0.1', {port})); {SLEEP}"
    with left_behind(program) as popen:
        found = port_holders.holder_of(port)
        assert found.pid == popen.pid
        assert str(found).startswith(f"pid {popen.pid} ({sys.executable} -c import socket")
    assert str(port_holders.holder_of(port)) == "another process"


def test_the_socket_that_gets_a_connection_is_identified() -> None:
    """The kernel prefers one that is bound to the address, and then one of IPv4."""
    one = ListeningSocket("127.0.0.1:80", 1, "127.0.0.1", 80)
    mapped = ListeningSocket("[::ffff:127.0.0.1]:80", 2, "::ffff:127.0.0.1", 80)
    all4 = ListeningSocket("0.0.0.0:80", 3, "0.0.0.0", 80)
    all6 = ListeningSocket("[::]:80", 4, "::", 80)
    other = ListeningSocket("[::1]:80", 5, "::1", 80)
    elsewhere = ListeningSocket("127.0.0.1:81", 6, "127.0.0.1", 81)
    everything = [other, elsewhere, all6, all4, mapped, one]
    assert port_holders.reached_by(80, everything) == [mapped, one]
    assert port_holders.reached_by(80, everything[:4]) == [all4]
    assert port_holders.reached_by(80, everything[:3]) == [all6]
    assert port_holders.reached_by(80, everything[:2]) == []


def test_the_addresses_on_which_a_command_listens_are_listed(tmp_path: Path) -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(tmp_path / "app.sock"))
        unix.listen()
        found = {
            str(one)
            for one in port_holders.listening_sockets_of("NOBODY_HAS=this", os.getpid(), US.uid)
        }
        assert found >= {
            f"127.0.0.1:{four.getsockname()[1]}",
            f"[::1]:{six.getsockname()[1]}",
            f"unix:{tmp_path / 'app.sock'}",
        }
