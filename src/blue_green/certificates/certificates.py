"""All certificates of the process: from files, and from an authority.

A host of a site with files of its own in `[tls]` has those. The others have certificates from the
authority that `acme` names, or the one pair of files in `[proxy.tls]`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.file_pairs import FilePairs, hosts_of
from blue_green.certificates.host_certificate import HostCertificate
from blue_green.certificates.issuer import Issuer
from blue_green.certificates.table import CertificateTable
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config.hosts import ANY_HOST
from blue_green.config.process_settings import INTERNAL, TlsSettings
from blue_green.config.settings import Settings, SiteSettings

if TYPE_CHECKING:
    from blue_green.certificates.keeper import Keeper

logger = logging.getLogger(__name__)

THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


class Certificates:
    """Fills the table that handshakes use, and keeps it up to date."""

    def __init__(
        self, settings: Settings, *, redirects: bool = False, issuer: Issuer | None = None
    ) -> None:
        """Load what is there, without the network; raise `BadCertificate`.

        `redirects` says whether there is an address that redirects to https, which can answer
        http-01 challenges. `issuer` takes the place of the authority in the settings.
        """
        self.challenges = Challenges()
        self.table = CertificateTable(self.challenges)
        self._settings = settings
        self._not_ordered: frozenset[str] = frozenset()
        self._pairs = FilePairs(settings, self.table)
        self._keeper: Keeper | None = None
        tls = settings.proxy.tls
        if tls is not None and tls.acme is not None:
            from blue_green.certificates import authority  # noqa: PLC0415

            directory = settings.state.directory
            self._keeper = authority.keeper(
                tls, directory, self.table, redirects=redirects, issuer=issuer
            )
            self._keeper.begin(self._hosts_to_order())

    def use(self, settings: Settings, pairs: Mapping[str, WatchedPair | None]) -> None:
        """Put new settings in force: sites and hosts that were added, removed or changed.

        `pairs` has the files of sites that were added or changed, by their names, as
        `file_pairs.load` returns them.
        """
        self._settings = settings
        self._pairs.use(settings, pairs)
        if self._keeper is not None:
            self._keeper.use(self._hosts_to_order())
        self._pairs.put()  # Last: a host of the keeper may have a pair now.

    async def run(self) -> None:
        """Keep all certificates up to date, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pairs.run)
            if self._keeper is not None:
                nursery.start_soon(self._keeper.run)

    def of_site(self, site: SiteSettings) -> Sequence[HostCertificate]:
        """What is known of the certificates for the hosts of this site."""
        return list(self._known(site))

    def _known(self, site: SiteSettings) -> Iterator[HostCertificate]:
        for host in hosts_of(site):
            if pair := self._pairs.of_host(host):
                yield pair
            elif self._keeper is not None:
                kept = map(self._keeper.of_host, self._names_of(host))
                yield from (known for known in kept if known is not None)

    @property
    def _is_internal(self) -> bool:
        tls = self._settings.proxy.tls
        return tls is not None and tls.acme == INTERNAL

    def _names_of(self, host: str) -> Sequence[str]:
        """The host; if it is every host, those of this machine that need no setting."""
        return THIS_MACHINE if host == ANY_HOST and self._is_internal else (host,)

    def _hosts_to_order(self) -> Sequence[str]:
        """The hosts of all sites for which the authority can issue certificates."""
        hosts = {
            name: "*" not in name or self._is_internal
            for site in self._settings.sites
            for host in hosts_of(site)
            if host not in self._pairs
            for name in self._names_of(host)
        }
        impossible = frozenset(host for host, is_possible in hosts.items() if not is_possible)
        if impossible - self._not_ordered:
            logger.warning(
                "no certificate can be ordered for %s: name each host in hosts, or give the site "
                "files of its own in [tls]", ", ".join(sorted(impossible)),
            )  # fmt: skip
        self._not_ordered = impossible
        return [host for host, is_possible in hosts.items() if is_possible]


def load_libraries(tls: TlsSettings | None) -> None:
    """Load the libraries that an authority needs, if the settings name one.

    It takes half a second, in which nothing else can happen, even if a thread does it.
    """
    if tls is not None and tls.acme is not None:
        import_module("blue_green.certificates.authority")
    if tls is not None and tls.asks_for_certificates:
        import_module("blue_green.certificates.acme_issuer")
