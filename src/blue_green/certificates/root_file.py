"""The root certificate of the internal authority as others see it: a file to install.

Separate from the authority, which needs a large library, so that commands start fast.
"""

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from blue_green.system import files

ROOT, ROOT_KEY, PREVIOUS = "root.pem", "root.key", "previous-root.pem"
LARGEST = 64 * 1024


class BadRoot(Exception):
    """The file cannot be used; str() says why."""


@frozen
class RootCertificate:
    """A root certificate, and what people need to recognise it."""

    pem: str
    name: str
    """Its common name."""
    valid_until: datetime
    fingerprint: str
    """SHA-256 of the certificate, in lower case."""


def directory_in(state_directory: Path) -> Path:
    """Where the internal authority keeps its files."""
    return state_directory / "certificates" / "internal"


def read(path: Path) -> RootCertificate:
    """The root certificate in this file.

    Raises `BadRoot`, `FileNotFoundError` or `PermissionError`.

    The file may belong to a user who is less trusted than we are.
    """
    try:
        pem = files.read_bounded(path, LARGEST).decode("ascii")
        der = ssl.PEM_cert_to_DER_cert(pem.strip())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=der)
        (seen,) = context.get_ca_certs()
    except (FileNotFoundError, PermissionError):
        raise
    except files.UnfitFile as error:
        raise BadRoot(f"{path} {error.strerror}") from None
    except OSError as error:  # ssl.SSLError is one, too.
        why = "is damaged" if isinstance(error, ssl.SSLError) else error.strerror
        raise BadRoot(f"{path} cannot be read: {why}") from None
    except ValueError:
        raise BadRoot(f"{path} is no root certificate in PEM") from None
    named = {key: value for ((key, value),) in seen["subject"]}  # type: ignore[misc, str-unpack]
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen["notAfter"])), UTC)
    name = named.get("commonName", "blue-green")
    return RootCertificate(
        ssl.DER_cert_to_PEM_cert(der), name, until, hashlib.sha256(der).hexdigest()
    )
