"""By which names what is for browsers may be asked for.

Any site that somebody has open can make its own name lead to this address ("DNS rebinding"): the
browser then takes what is here for that site's own, and lets its scripts read it. Such a name is
one that the whole world can look up, so it has a dot. The answer is only for those who ask by an
address, by a name without a dot, or by the name of this machine.
"""

import ipaddress
import re
import socket

PORT = re.compile(r":\d*$")


def may_ask_by(host: str) -> bool:
    """Whether this Host cannot be the name of a site that has nothing to do with us."""
    name = PORT.sub("", host).lower().rstrip(".")
    if "." not in name or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
