"""Whether an ACME authority can validate the hosts: their addresses, and the ports it connects to.

It connects to port 80 of each host (http-01, RFC 8555 section 8.3), or to port 443 (tls-alpn-01,
RFC 8737). What stands in between, such as NAT or a load balancer, cannot be seen from here, so an
address of another machine is a warning and no failure.
"""

import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

import trio
from attrs import frozen

from blue_green.config.kinds import Endpoint
from blue_green.config.settings import Settings, SiteSettings
from blue_green.preflight.checks.finding import Findings, failed, passed, warned
from blue_green.system.printable import counted

AT_ONCE = 20
"""Lookups."""
TIMEOUT = 20.0
"""Seconds for all of them."""
MAX_NAMED = 5
"""Hosts that one finding names."""
NOT_FOUND = (socket.EAI_NONAME, socket.EAI_NODATA)
ABOUT = "hosts"
ACME = "[proxy.tls] acme"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FORWARD = "behind NAT or a load balancer, have ports 80 and 443 forwarded to this machine"


@frozen
class Lookup:
    """The addresses of a host in DNS."""

    addresses: Sequence[str] = ()
    problem: str = ""
    """Why it could not be looked up."""


def ports(settings: Settings) -> Findings:
    """Whether we listen where the authority and browsers connect to."""
    proxy, tls = settings.proxy, settings.proxy.tls
    if tls is None or not tls.asks_for_certificates:
        return
    listening = [*tls.redirecting, *proxy.listen]
    if tls.redirecting and all(_is_only_for_this_machine(end) for end in proxy.listen):
        yield warned(
            "[proxy] listen",
            f"only programs of this machine can connect to {proxy.listen[0]}, to which "
            f"{tls.redirecting[0]} redirects",
            'set listen = ["[::]:443"], if clients connect without another proxy in front',
        )
    if 80 in _ports(tls.redirecting) or 443 in _ports(proxy.listen):
        return
    yield warned(
        ACME,
        "the authority connects to port 80 or 443 of each host, and the addresses here are "
        f"{', '.join(map(str, listening))}",
        "have port 80 forwarded to redirect and port 443 to listen, or use these ports: "
        'listen = ["[::]:443"]',
    )


async def look_up_all(settings: Settings, sites: Sequence[SiteSettings]) -> Mapping[str, Lookup]:
    """Look up the hosts whose certificates the authority is to issue, in a bounded time."""
    tls = settings.proxy.tls
    if tls is None or not tls.asks_for_certificates:
        return {}
    names = [name for site in sites for name in _ordered(site)]
    found = dict.fromkeys(names, Lookup(problem=f"no answer within {TIMEOUT:g} s"))
    limit = trio.CapacityLimiter(AT_ONCE)

    async def look(name: str) -> None:
        found[name] = await trio.to_thread.run_sync(
            look_up, name, limiter=limit, abandon_on_cancel=True
        )

    with trio.move_on_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            for name in found:
                nursery.start_soon(look, name)
    return found


def hosts(site: SiteSettings, lookups: Mapping[str, Lookup]) -> Findings:
    """One finding for all hosts of a site about which there is the same to say."""
    grouped = defaultdict[tuple[str, str, str], list[str]](list)
    for name in _ordered(site):
        if name in lookups:
            grouped[_verdict(lookups[name])].append(name)
    make = {"failed": failed, "warned": warned}
    for (verdict, text, advice), names in grouped.items():
        more = len(names) - MAX_NAMED
        others = f" and {counted(more, 'more host')}" if more > 0 else ""
        about = f"{', '.join(names[:MAX_NAMED])}{others}: {text}"
        yield make[verdict](ABOUT, about, advice) if advice else passed(ABOUT, about)


def look_up(name: str) -> Lookup:
    """The addresses of a name; blocks for as long as the resolver takes."""
    try:
        infos = socket.getaddrinfo(name.strip("[]"), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Lookup() if error.errno in NOT_FOUND else Lookup(problem=str(error.strerror))
    except (OSError, UnicodeError) as error:
        return Lookup(problem=str(error))
    return Lookup(list(dict.fromkeys(str(info[4][0]) for info in infos)))


def is_ours(address: str) -> bool:
    """Whether this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def _ordered(site: SiteSettings) -> Iterator[str]:
    if site.tls.certificate is None:
        yield from site.serving.every_host


def _is_only_for_this_machine(end: Endpoint) -> bool:
    return end.host in LOOPBACK and end.port != 443


def _ports(ends: Sequence[Endpoint]) -> list[int]:
    return [end.port for end in ends if end.path is None]


def _verdict(lookup: Lookup) -> tuple[str, str, str]:
    """The verdict, what is so, and what to do."""
    if lookup.problem:
        why = f"cannot be looked up in DNS: {lookup.problem}"
        return "warned", why, "check the network, and /etc/resolv.conf"
    if not lookup.addresses:
        advice = "add an A record with the address of this machine, and AAAA if it has IPv6"
        return "failed", "no address found in DNS", advice
    ours = [address for address in lookup.addresses if is_ours(address)]
    others = ", ".join(address for address in lookup.addresses if address not in ours)
    if not others and all(ip_address(address).is_loopback for address in ours):
        why = f"{', '.join(ours)}, which other machines cannot reach: /etc/hosts may hide DNS here"
        return "warned", why, "look at what DNS has: dig +short A HOST, and dig +short AAAA HOST"
    if not others:
        return "passed", f"{', '.join(ours)} in DNS, as on this machine", ""
    if not ours:
        why = f"{others} in DNS, which is no address of this machine"
        return "warned", why, f"correct the A or AAAA record; {FORWARD}"
    why = (
        f"{others} in DNS, which is no address of this machine, besides {', '.join(ours)}, which "
        "is: the authority and browsers may use either"
    )
    return "warned", why, f"correct or remove that A or AAAA record; {FORWARD}"
