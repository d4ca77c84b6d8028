"""The URLs by which people reach a site, as far as its settings say so."""

import socket
from ipaddress import ip_address

from blue_green.config.hosts import ANY_HOST, is_exact
from blue_green.config.kinds import Endpoint
from blue_green.config.process_settings import ProxySettings
from blue_green.config.settings import SiteSettings
from blue_green.http.sockets import HTTPS

MOST = 10
HTTP = 80


def urls(site: SiteSettings, proxy: ProxySettings, path: str) -> list[str]:
    """The URLs of a path below each of the site's paths, on each of its hosts, `MOST` at most.

    With trusted proxies, or only on Unix sockets, the site is behind another proxy: then its hosts
    are reached by https on the usual port. Otherwise they are reached as we listen.
    """
    hosts = [host for host in site.serving.hosts if is_exact(host)] or list(site.serving.hosts)
    first = next((end for end in proxy.listen if end.path is None), None)
    is_private = first is None or _is_loopback(first)
    is_behind = first is None or bool(proxy.trusted_proxies)
    if is_behind and hosts not in ([], [ANY_HOST]):
        scheme, port = "https", ""
    else:
        scheme = "https" if proxy.tls is not None else "http"
        is_usual = first is None or first.port == (HTTPS if proxy.tls else HTTP)
        port = "" if first is None or is_usual else f":{first.port}"
    here = "127.0.0.1" if is_private else socket.gethostname()
    names = [here if host == ANY_HOST else host for host in hosts or [ANY_HOST]]
    prefixes = [prefix.removesuffix("/") for prefix in site.serving.paths or ("",)]
    found = [f"{scheme}://{name}{port}{prefix}{path}" for name in names for prefix in prefixes]
    return found[:MOST]


def _is_loopback(end: Endpoint) -> bool:
    try:
        return ip_address(end.host).is_loopback
    except ValueError:
        return end.host == "localhost"
