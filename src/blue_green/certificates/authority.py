"""The authority that the settings name: how it is asked, and where its certificates are kept."""

import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from blue_green.certificates import root_file
from blue_green.certificates.internal_ca import InternalCa
from blue_green.certificates.issuer import Issuer
from blue_green.certificates.keeper import Keeper
from blue_green.certificates.pem import BadCertificate
from blue_green.certificates.store import CertificateStore
from blue_green.certificates.table import CertificateTable
from blue_green.config.process_settings import INTERNAL, TlsSettings

DIRECTORY = "certificates"
"""Within the state directory."""
LONGEST_NAME = 100
UNUSUAL = re.compile(r"[^A-Za-z0-9.-]+")


def keeper(
    tls: TlsSettings,
    state: Path,
    table: CertificateTable,
    *,
    redirects: bool,
    issuer: Issuer | None = None,
) -> Keeper:
    """The keeper of the certificates of the authority in the settings; raise `BadCertificate`.

    `redirects` says whether there is an address for http-01 challenges; `issuer` takes the place
    of that authority.
    """
    directory = directory_of(tls, state)
    try:
        store = CertificateStore(directory)
    except OSError as error:
        raise BadCertificate(
            f"[proxy.tls] acme: cannot use {error.filename or directory}, where the "
            f"certificates are kept: {error.strerror}"
        ) from None
    if tls.acme == INTERNAL:
        return Keeper(issuer or InternalCa(directory), store, table, "internal")
    if issuer is None:
        from blue_green.certificates.acme_issuer import AcmeIssuer  # noqa: PLC0415 - slow to load

        issuer = AcmeIssuer(tls, directory, table.challenges, can_http=redirects)
    return Keeper(issuer, store, table, "acme", _digest(tls, redirects=redirects))


def directory_of(tls: TlsSettings, state: Path) -> Path:
    """The directory of the account and the certificates of the authority in the settings.

    Another authority has another one, since its account and its rate limits are others.
    """
    if tls.acme == INTERNAL:
        return root_file.directory_in(state)
    return state / DIRECTORY / _name_of(tls.directory)


def _digest(tls: TlsSettings, *, redirects: bool) -> str:
    """Another one if orders are made in another way."""
    settings = (
        tls.acme,
        tls.directory,
        tls.directory_root,
        tls.eab_kid,
        tls.eab_key_file,
        tls.profile,
        redirects,
    )
    return sha256(repr(settings).encode()).hexdigest()[:16]


def _name_of(url: str) -> str:
    """The host and the path of a URL as the name of a directory."""
    parts = urlsplit(url)
    text = f"{parts.netloc}{parts.path}".strip("/")
    name = UNUSUAL.sub("_", text)
    is_unique = name == text.replace("/", "_") and "_" not in text and not parts.query
    if is_unique and len(name) <= LONGEST_NAME and name not in ("", ".", "..", INTERNAL):
        return name
    return f"{name[:LONGEST_NAME]}_{sha256(url.encode()).hexdigest()[:16]}"
