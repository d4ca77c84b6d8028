"""HTTPS in the settings that `init` writes: for which hosts, and who issues the certificates."""

import re
from collections.abc import Callable, Sequence

from blue_green.config.process_settings import INTERNAL
from blue_green.preflight.init.destination import CannotWrite

Ask = Callable[[str], str]
"""Ask the user a question; returns an empty string without an answer."""

HOSTS = """\
Which hosts does it have, such as blog.example.com? Write spaces between several. With them, it can
get certificates and speak HTTPS on ports 443 and 80. Leave it empty for a proxy in front, or just
to try it.
hosts: """
CONTACT = """\
Your mail address, for an account at Let's Encrypt? With it you agree to their terms of service.
Write "internal" for certificates of this machine's own, or leave it empty for no HTTPS.
mail address: """
LOCALHOST = "localhost"
EVERYWHERE = "[::]:443"


def choose_hosts(given: Sequence[str], acme: str | None, ask: Ask) -> tuple[str, ...]:
    """The hosts of the only site of a file; empty if it gets all requests. Raises `CannotWrite`."""
    if given:
        return tuple(given)
    if acme == INTERNAL:
        return (LOCALHOST,)
    if acme:
        raise CannotWrite("--acme needs the hosts of the certificates: --host blog.example.com")
    return split(ask(HOSTS))


def choose_authority(given: str | None, hosts: Sequence[str], ask: Ask) -> str | None:
    """The value of `acme`, if these hosts are to have HTTPS."""
    return given or (ask(CONTACT).strip() if hosts else "") or None


def is_local(hosts: Sequence[str]) -> bool:
    """Whether only this machine itself can reach these hosts."""
    return all(host == LOCALHOST or host.endswith(f".{LOCALHOST}") for host in hosts)


def split(answer: str) -> tuple[str, ...]:
    """The hosts in an answer, with spaces or commas between them."""
    return tuple(re.split(r"[\s,]+", answer.strip())) if answer.strip() else ()
