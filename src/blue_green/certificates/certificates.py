"""All certificates of the process: from files, and from an authority."""

from collections.abc import Sequence

import trio

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.host_certificate import HostCertificate
from blue_green.certificates.pem import Loaded
from blue_green.certificates.table import CertificateTable, TableEntry
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config.process_settings import TlsSettings
from blue_green.config.settings import Settings, SiteSettings

PLACE = "[proxy.tls]"


class Certificates:
    """Fills the table that handshakes use, and keeps it up to date."""

    def __init__(self, tls: TlsSettings, sites: Sequence[SiteSettings] = ()) -> None:
        """Raises `BadCertificate`."""
        self.challenges = Challenges()
        self.table = CertificateTable(self.challenges)
        self._sites = sites
        self._pair: WatchedPair | None = None
        if tls.certificate is not None and tls.key is not None:
            self._pair = WatchedPair(tls.certificate, tls.key, PLACE)
            self._use_default(self._pair.loaded)

    def use(self, settings: Settings) -> None:
        """Put new settings in force: sites and hosts that were added, removed or changed."""
        self._sites = settings.sites

    async def run(self) -> None:
        """Keep all certificates up to date, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._pair is not None:
                nursery.start_soon(self._pair.keep_fresh, self._use_default)
            await trio.sleep_forever()

    def of_site(self, site: SiteSettings) -> Sequence[HostCertificate]:
        """What is known of the certificates for the hosts of this site."""
        pair = self._pair
        if pair is None:
            return ()
        return [
            HostCertificate(
                host,
                "files",
                pair.loaded.valid_until,
                problem=pair.problem,
                valid_from=pair.loaded.valid_from,
            )
            for host in (*site.serving.hosts, *site.serving.redirect_hosts)
        ]

    def _use_default(self, loaded: Loaded) -> None:
        self.table.default = TableEntry(loaded)
