"""A real site that speaks TLS, and so HTTP/2."""

from tests.raw.tls_client import write_pair
from tests.support.site import RealSite


def with_tls(site: RealSite) -> RealSite:
    """The same site, with a certificate of the tests' authority."""
    pair = write_pair(site.directory, "localhost")
    site.configure(proxy={"tls": {"certificate": str(pair.certificate), "key": str(pair.key)}})
    return site
