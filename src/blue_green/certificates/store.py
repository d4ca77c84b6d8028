"""The certificates of an authority on disk, by host: `hosts/HOST.pem` and `hosts/HOST.json`.

The PEM file has the key and the chain, so that the two always belong together. Files are replaced
as a whole: after a crash, or when the disk is full, the old one is there. Files that are damaged,
or of another host, count as missing. Only we may read them.

Call all of this in a thread, except at start.
"""

import errno
import json
import logging
import os
import time
from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import attrs
from attrs import frozen
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from blue_green.certificates.kept_certificate import KeptCertificate, read
from blue_green.certificates.pem import BadCertificate
from blue_green.system import files
from blue_green.system.strict import strict_converter

logger = logging.getLogger(__name__)

LARGEST = 256 * 1024
"""Bytes of a file."""
LONGEST_NAME = 200
"""Characters of a file's name before its suffix; file systems allow 255 bytes."""
KEPT_FOR = 100 * 24 * 3600.0
"""Seconds for which the files of a host are kept that is in no site's settings. By then, almost all
certificates have expired."""

FOREIGN = (
    "another user owns it, who could read our keys or replace them: remove {0}, or if its content "
    "is right, chown -R {1} {0}"
)


@frozen
class HostRecord:
    """What has to be remembered of a host beside its certificate. Times are in UTC."""

    certificate: str = ""
    """The digest of the certificate that this is about; empty if there is none."""
    failures: int = 0
    """Failed attempts in a row."""
    why: str = ""
    """Why the last one failed."""
    next_attempt: datetime | None = None
    allowed_at: datetime | None = None
    """The authority allows no attempt before."""
    advised: datetime | None = None
    """When the authority advises to renew."""
    ask_again_at: datetime | None = None
    """When to ask for its advice again; None if it was not asked yet."""
    gives_advice: bool = True
    asked: str = ""
    """The digest of the settings with which the last failed attempt was made."""


class CertificateStore:
    """The files of all hosts of one authority."""

    def __init__(self, directory: Path) -> None:
        """`directory` is that of the authority. Raises `OSError` if it cannot be created."""
        self._directory = directory / "hosts"
        self._make_directories()
        for left in self._directory.glob("*.new"):  # By a crash while it was written.
            _remove(left)

    def load(self, host: str) -> tuple[KeptCertificate | None, HostRecord]:
        """The certificate and the record of a host, as far as they can be used."""
        certificate = self._certificate(host)
        record = self._record(host)
        digest = certificate.digest if certificate else ""
        if certificate is not None and certificate.valid_until <= datetime.now(UTC):
            until = f"{certificate.valid_until:%Y-%m-%d %H:%M} UTC"
            logger.warning("the stored certificate for %s expired %s, ordering one", host, until)
        # After a crash between the two, the certificate is the newer one.
        return certificate, record if record.certificate == digest else HostRecord(digest)

    def save_certificate(self, host: str, pem: str) -> None:
        """Replace the certificate of a host; raise `OSError`."""
        self._replace(self._path(host, ".pem"), pem)

    def save_record(self, host: str, record: HostRecord) -> None:
        """Replace the record of a host; raise `OSError`."""
        document = json.dumps(attrs.asdict(record), default=datetime.isoformat)
        self._replace(self._path(host, ".json"), document)

    def remove_old(self, hosts: Collection[str]) -> None:
        """Remove the files of other hosts than these that have not changed for long."""
        names = {_file_name(host) for host in hosts}
        for path in self._directory.iterdir():
            if path.stem in names or path.suffix not in (".pem", ".json"):
                continue
            try:
                age = time.time() - path.stat().st_mtime
            except OSError:
                continue
            if age > KEPT_FOR:
                logger.info("removing %s: no site has this host any more", path)
                _remove(path)

    def _replace(self, path: Path, text: str) -> None:
        self._make_directories()  # Somebody may have removed them.
        files.replace(path, text.encode())

    def _make_directories(self) -> None:
        for path in (self._directory.parents[1], self._directory.parent, self._directory):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(path, os.R_OK | os.X_OK):  # It was made by another user.
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            status = path.stat()
            if status.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, FOREIGN.format(path, os.geteuid()), str(path))
            if status.st_mode & 0o077:
                path.chmod(0o700)

    def _path(self, host: str, suffix: str) -> Path:
        return self._directory / (_file_name(host) + suffix)

    def _certificate(self, host: str) -> KeptCertificate | None:
        path = self._path(host, ".pem")
        try:
            return read(files.read_bounded(path, LARGEST).decode("latin-1"), host, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"{path} cannot be read: {error.strerror}"
        except BadCertificate as error:
            why = str(error)
        logger.warning("the stored certificate for %s cannot be used, ordering one: %s", host, why)
        return None

    def _record(self, host: str) -> HostRecord:
        path = self._path(host, ".json")
        try:
            document = json.loads(files.read_bounded(path, LARGEST))
            if not isinstance(document, dict):
                raise ValueError("it is not a JSON object")
            return _converter.structure(document, HostRecord)
        except FileNotFoundError:
            return HostRecord()
        except OSError as error:
            why: object = error.strerror
        except (ValueError, RecursionError, BaseValidationError, ForbiddenExtraKeysError) as error:
            why = error
        logger.warning("%s cannot be used, so earlier failures are unknown: %s", path, why)
        return HostRecord()


def _file_name(host: str) -> str:
    """The name of a host's files without their suffix: what shells would expand is escaped."""
    name = quote(host, safe="")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:100]}-{sha256(host.encode()).hexdigest()}"


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        logger.warning("cannot remove %s: %s", path, error.strerror)


def _aware(value: object, _: type) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment


_converter = strict_converter()
_converter.register_structure_hook(datetime, _aware)
