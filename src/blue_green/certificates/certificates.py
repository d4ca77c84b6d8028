"""All certificates of the process: from files, and from an authority.

A host of a site with files of its own in `[tls]` has those. The others have certificates from the
authority that `acme` names, or the one pair of files in `[proxy.tls]`.
"""

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.host_certificate import HostCertificate
from blue_green.certificates.issuer import Issuer
from blue_green.certificates.pem import Loaded
from blue_green.certificates.table import CertificateTable, TableEntry
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config.hosts import ANY_HOST
from blue_green.config.process_settings import INTERNAL, TlsSettings
from blue_green.config.settings import Settings, SiteSettings

if TYPE_CHECKING:
    from blue_green.certificates.keeper import Keeper

logger = logging.getLogger(__name__)

PLACE = "[proxy.tls]"


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
        self._pair: WatchedPair | None = None
        self._keeper: Keeper | None = None
        tls = settings.proxy.tls
        if tls is not None and tls.certificate is not None and tls.key is not None:
            self._pair = WatchedPair(tls.certificate, tls.key, PLACE)
            self._use_default(self._pair.loaded)
        elif tls is not None and tls.acme is not None:
            from blue_green.certificates import authority  # noqa: PLC0415

            directory = settings.state.directory
            self._keeper = authority.keeper(
                tls, directory, self.table, redirects=redirects, issuer=issuer
            )
            self._keeper.begin(self._hosts_to_order())

    def use(self, settings: Settings) -> None:
        """Put new settings in force: sites and hosts that were added, removed or changed."""
        self._settings = settings
        if self._keeper is not None:
            self._keeper.use(self._hosts_to_order())

    async def run(self) -> None:
        """Keep all certificates up to date, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._pair is not None:
                nursery.start_soon(self._pair.keep_fresh, self._use_default)
            if self._keeper is not None:
                nursery.start_soon(self._keeper.run)
            await trio.sleep_forever()

    def of_site(self, site: SiteSettings) -> Sequence[HostCertificate]:
        """What is known of the certificates for the hosts of this site."""
        return list(self._known(site))

    def _known(self, site: SiteSettings) -> Iterator[HostCertificate]:
        pair, keeper = self._pair, self._keeper
        for host in _hosts(site):
            if keeper is not None and (known := keeper.of_host(host)) is not None:
                yield known
            elif pair is not None:
                yield _of_files(host, pair)

    def _hosts_to_order(self) -> Sequence[str]:
        """The hosts of all sites for which the authority can issue certificates."""
        tls = self._settings.proxy.tls
        is_internal = tls is not None and tls.acme == INTERNAL
        hosts = {
            host: "*" not in host or (is_internal and host != ANY_HOST)
            for site in self._settings.sites
            if site.tls.certificate is None
            for host in _hosts(site)
        }
        impossible = frozenset(host for host, is_possible in hosts.items() if not is_possible)
        if impossible - self._not_ordered:
            logger.warning(
                "no certificate can be ordered for %s: name each host in hosts, or give the site "
                "files of its own in [tls]", ", ".join(sorted(impossible)),
            )  # fmt: skip
        self._not_ordered = impossible
        return [host for host, is_possible in hosts.items() if is_possible]

    def _use_default(self, loaded: Loaded) -> None:
        if self.table.default is None:
            self.table.default = TableEntry()
        self.table.default.loaded = loaded


def load_libraries(tls: TlsSettings | None) -> None:
    """Load the libraries that an authority needs, if the settings name one.

    It takes half a second, in which nothing else can happen, even if a thread does it.
    """
    if tls is not None and tls.acme is not None:
        import_module("blue_green.certificates.authority")
    if tls is not None and tls.asks_for_certificates:
        import_module("blue_green.certificates.acme_issuer")


def _of_files(host: str, pair: WatchedPair) -> HostCertificate:
    loaded = pair.loaded
    return HostCertificate(
        host, "files", loaded.valid_until, problem=pair.problem, valid_from=loaded.valid_from
    )


def _hosts(site: SiteSettings) -> Sequence[str]:
    return tuple(dict.fromkeys((*site.serving.hosts, *site.serving.redirect_hosts)))
