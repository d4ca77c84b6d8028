"""Host names under which a browser may read the admin page: protection against DNS rebinding.

Any site that is open in a browser can let its own name resolve to this address. The browser then
treats this page as part of that site, and lets the site's scripts read it. Such a name is in the
public DNS, so it contains a dot. The page is therefore served only under IP addresses, names
without a dot, and the name of this machine.
"""

import ipaddress
import re
import socket

PORT = re.compile(r":\d*$")


def is_allowed_host(host: str) -> bool:
    """Whether this Host cannot be the public name of an unrelated site."""
    name = PORT.sub("", host).lower().rstrip(".")
    if "." not in name or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
