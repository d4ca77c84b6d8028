"""Put the site of a proxy in maintenance, and open its secret link."""

from ipaddress import ip_network

from blue_green.proxy.maintenance import Maintenance
from blue_green.proxy.secret_link import SecretLink
from blue_green.proxy.served_site import ServedSite
from tests.raw.files import fetch
from tests.raw.proxy import RunningProxy

TOKEN = "t" * 43
LINK = SecretLink("maintenance", TOKEN)
NOBODY = Maintenance()
"""Nobody is admitted to it."""
US = [ip_network("127.0.0.0/8")]
PROXY = (ip_network("127.0.0.1"),)


def begin(site: ServedSite, maintenance: Maintenance = NOBODY) -> None:
    """As the site does it."""
    site.maintenance = maintenance
    site.gate.queue.check_held()


async def opened(proxy: RunningProxy, path: str = LINK.path, *lines: str) -> str:
    """Open the secret link; the Cookie line of the browser."""
    answer = await fetch(proxy, path, *lines)
    assert answer.status == 303, answer.raw
    [cookie] = answer.field(b"set-cookie")
    return f"Cookie: {cookie.decode().partition(';')[0]}"
