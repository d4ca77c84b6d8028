"""The file of an account at an ACME authority: its key and its URL.

They are in one file, which is replaced as a whole, so that they always fit.
"""

import json
import logging
from pathlib import Path

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from blue_green.certificates.issued import pem_of_key
from blue_green.system import files

logger = logging.getLogger(__name__)

LARGEST = 64 * 1024


@frozen
class AccountRecord:
    """What must be known of an account to use it."""

    key: ec.EllipticCurvePrivateKey
    url: str
    contact: str
    """The mail address that the authority has."""
    eab_kid: str = ""
    """The external account that it was bound to."""


class AccountUnreadable(Exception):
    """There is a file and it cannot be read; str() says why."""


def load(file: Path) -> AccountRecord | None:
    """The account in this file, if there is one; raise `AccountUnreadable`.

    An invalid file is moved aside.
    """
    try:
        data = files.read_bounded(file, LARGEST)
    except FileNotFoundError:
        return None
    except files.UnfitFile as error:
        raise AccountUnreadable(f"{file} {error.strerror}: remove it") from None
    except OSError as error:
        raise AccountUnreadable(f"{file} cannot be read: {error.strerror}") from None
    try:
        return _parse(data)
    except (ValueError, KeyError, TypeError, RecursionError, UnsupportedAlgorithm) as error:
        aside = file.with_suffix(".invalid")
        logger.warning("%s is invalid, moved to %s: %s", file, aside, error)
        try:
            file.replace(aside)
        except OSError as problem:
            raise AccountUnreadable(f"{file} cannot be moved: {problem.strerror}") from None
        return None


def save(file: Path, account: AccountRecord) -> bool:
    """Write the account, readable by us alone; whether that succeeded. Logs why not."""
    content = {
        "url": account.url,
        "contact": account.contact,
        "eab_kid": account.eab_kid,
        "key": pem_of_key(account.key),
    }
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(file, json.dumps(content, indent=2).encode())
    except OSError as error:
        logger.warning(
            "%s cannot be written, so the next start registers a new account: %s",
            file,
            error.strerror,
        )
        return False
    return True


def _parse(data: bytes) -> AccountRecord:
    content = json.loads(data)
    key = load_pem_private_key(str(content["key"]).encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("its key is not one of ECDSA P-256")
    eab_kid = str(content.get("eab_kid", ""))
    return AccountRecord(key, str(content["url"]), str(content["contact"]), eab_kid)
