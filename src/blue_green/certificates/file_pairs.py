"""Certificates in files of the user's: one pair for all sites, and pairs of single sites.

A site with files in its own `[tls]` has these for all its hosts, whatever `[proxy.tls]` says.
"""

from collections.abc import Mapping, Sequence

import trio
from attrs import define, field

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.certificates.pem import Loaded
from blue_green.certificates.table import CertificateTable, TableEntry
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config.hosts import ANY_HOST
from blue_green.config.settings import Settings, SiteSettings

PROCESS = "[proxy.tls]"
OFTEN = 50
"""Pairs that are looked at as often as a single one. Of more, each is looked at less often."""


@define(eq=False)
class _Used:
    """A pair in use, with the entry of its hosts in the table and the scope of its task."""

    pair: WatchedPair
    entry: TableEntry = field(factory=TableEntry)
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        self.entry.loaded = self.pair.loaded

    def take(self, loaded: Loaded) -> None:
        self.entry.loaded = loaded


def hosts_of(site: SiteSettings) -> Sequence[str]:
    """The hosts for which a site needs certificates, each once."""
    return tuple(dict.fromkeys(site.serving.every_host))


def load(
    site: SiteSettings, *, is_single: bool, may_be_unusable: bool = False
) -> WatchedPair | None:
    """The pair of a site; None if it has no files of its own. Raises as `WatchedPair` does."""
    certificate, key = site.tls.certificate, site.tls.key
    if certificate is None or key is None:
        return None
    place = "[tls]" if is_single else site.place.key("tls")
    return WatchedPair(certificate, key, place, may_be_unusable=may_be_unusable)


class FilePairs:
    """Loads the pairs, puts them into the table, and loads them again when they change."""

    def __init__(self, settings: Settings, table: CertificateTable) -> None:
        """Raises `BadCertificate`, unless the pair is that of one of several sites: the others do
        without it."""
        self._table = table
        self._nursery: trio.Nursery | None = None
        self._of_process: _Used | None = None
        self._of_sites: dict[str, _Used] = {}
        tls, is_single = settings.proxy.tls, settings.is_single
        if tls is not None and tls.certificate is not None and tls.key is not None:
            self._of_process = _Used(WatchedPair(tls.certificate, tls.key, PROCESS))
        for site in settings.sites:
            pair = load(site, is_single=is_single, may_be_unusable=not is_single)
            if pair is not None:
                self._of_sites[site.name] = _Used(pair)
        self._of_hosts = self._wanted(settings)
        self.put()

    def use(self, settings: Settings, pairs: Mapping[str, WatchedPair | None]) -> None:
        """Use other pairs for these sites, by their names, and none for sites that are gone.

        Removes hosts from the table that have no pair any more; `put` adds the others.
        """
        names = {site.name for site in settings.sites}
        entries: dict[str, TableEntry] = {}
        for name in [name for name in self._of_sites if name in pairs or name not in names]:
            old = self._of_sites.pop(name)
            old.scope.cancel()
            entries[name] = old.entry
        for name, pair in pairs.items():
            if pair is not None and name in names:
                # With the entry of the site, its clients can still resume their sessions.
                used = self._of_sites[name] = _Used(pair, entries.get(name) or TableEntry())
                if self._nursery is not None:
                    self._nursery.start_soon(self._watch, used)
        before, self._of_hosts = self._of_hosts, self._wanted(settings)
        for host in before.keys() - self._of_hosts.keys():
            self._table.remove(host)

    def put(self) -> None:
        """Put the pairs into the table."""
        for host, used in self._of_hosts.items():
            self._table.put(host, used.entry)

    def __contains__(self, host: str) -> bool:
        """Whether the host has a pair."""
        return host in self._of_hosts

    def of_host(self, host: str) -> HostCertificate | None:
        """What is known of the certificate of a host; None if it has no pair."""
        used = self._of_hosts.get(host)
        if used is None:
            return None
        loaded, problem = used.pair.loaded, used.pair.problem
        if loaded is None:
            return HostCertificate(host, "files", problem=problem)
        if loaded.names and host != ANY_HOST and not loaded.covers(host):
            return HostCertificate(host, "files", problem=problem or _not_for(host, used.pair))
        until, since = loaded.valid_until, loaded.valid_from
        return HostCertificate(host, "files", until, problem=problem, valid_from=since)

    async def run(self) -> None:
        """Load pairs again when their files change, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for used in self._all:
                self._nursery.start_soon(self._watch, used)
            await trio.sleep_forever()

    async def _watch(self, used: _Used) -> None:
        with used.scope:
            await used.pair.keep_fresh(used.take, lambda: max(1.0, len(self._all) / OFTEN))

    @property
    def _all(self) -> Sequence[_Used]:
        return [*self._of_sites.values(), *filter(None, [self._of_process])]

    def _wanted(self, settings: Settings) -> dict[str, _Used]:
        """The hosts of sites with files of their own; with a pair for all sites, all other hosts.

        A host that several sites share has the files of the one that has some.
        """
        wanted: dict[str, _Used] = {}
        for site in reversed(settings.sites):  # Of two that have some, the first one counts.
            if own := self._of_sites.get(site.name):
                wanted |= dict.fromkeys(hosts_of(site), own)
        if common := self._of_process:
            others = [host for site in settings.sites for host in hosts_of(site)]
            wanted = dict.fromkeys([*others, ANY_HOST], common) | wanted
        return wanted


def _not_for(host: str, pair: WatchedPair) -> str:
    return (
        f"{pair.certificate} is not for {host}, so browsers refuse it there: get one for all hosts "
        "of the site, or for this one with acme"
    )
