"""The certificate and its key: loaded, tried, and reloaded when the files change.

A new pair is only loaded once the files have not changed from one look to the next, since the two
are written, or their symbolic links changed, one after the other. A pair that cannot be used leaves
the current one in use. Open connections keep the one that they began with.
"""

import logging
import os
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import trio

from blue_green.config.process_settings import TlsSettings
from blue_green.system import files

T = TypeVar("T")

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between looks at the files."""
LARGEST_FILE = 1024 * 1024
BEGINS = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

Stamp = tuple[tuple[int, ...] | None, ...]
"""Changes when one of the files does; None for a missing file."""


class BadCertificate(Exception):
    """The certificate and the key cannot be used; str() says which, why, and what to do."""


class Certificate:
    """The current pair. New connections use `context`."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises `BadCertificate`."""
        self._settings = settings
        self._tried = _stamp(settings)
        self.context = load(settings)

    async def keep_fresh(self) -> None:
        """Reload the files when they change, until cancelled."""
        seen = self._tried
        while True:
            await trio.sleep(LOOK_EVERY)
            before, seen = seen, await _in_thread(_stamp, self._settings)
            if seen == before and seen != self._tried:
                self._tried = seen
                await self._reload()

    async def _reload(self) -> None:
        try:
            self.context = await _in_thread(load, self._settings)
        except BadCertificate as error:
            logger.error("the current certificate stays in use: [proxy.tls] %s", error)


async def _in_thread(look: Callable[[TlsSettings], T], settings: TlsSettings) -> T:
    """Run it in a thread, since a file system that hangs must not block us."""
    return await trio.to_thread.run_sync(look, settings, abandon_on_cancel=True)


def load(settings: TlsSettings) -> ssl.SSLContext:
    """The TLS context of this pair; raise `BadCertificate`. Takes some milliseconds."""
    chain = _read("certificate", settings.certificate)
    if "CERTIFICATE" not in BEGINS.findall(chain):
        raise BadCertificate(f"certificate: {settings.certificate} has no certificate in PEM")
    key = _read("key", settings.key)
    _check_key(key, settings.key)
    # The library's own choice of what is secure, and what the machine's policy adds to it. Not
    # create_default_context(), which $SSLKEYLOGFILE can make write the keys of all connections.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # What was read and checked: the files may have changed since.
        with _in_memory(chain) as certificate_file, _in_memory(key) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=_no_passphrase)
    except ssl.SSLError as error:
        raise BadCertificate(_unusable(settings, error)) from None
    _try(context, chain, settings)
    return context


def _check_key(text: str, path: Path) -> None:
    kinds = BEGINS.findall(text)
    if "ENCRYPTED PRIVATE KEY" in kinds or "Proc-Type: 4,ENCRYPTED" in text:
        raise BadCertificate(
            f"key: {path} has a passphrase, and nobody can type it at start: remove it "
            f"with openssl pkey -in {path} -out NEW"
        )
    if not any(kind.endswith("PRIVATE KEY") for kind in kinds):
        raise BadCertificate(f"key: {path} has no private key in PEM")
    # As root, the app runs as another user, which should not be able to read the key.
    if os.geteuid() == 0 and files.is_readable_by_all(path):
        logger.warning("all users can read the private key: chmod o-r %s", path)


def _read(key: str, path: Path) -> str:
    """The file's content; `key` is the setting that names it."""
    try:
        return files.read_bounded(path, LARGEST_FILE).decode("latin-1")
    except files.UnfitFile as error:
        why = f"{path} is not a file with a {key} in PEM: it {error.strerror}"
        raise BadCertificate(f"{key}: {why}") from None
    except OSError as error:
        raise BadCertificate(f"{key}: {path} cannot be read: {error.strerror}") from None


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """A file with this text, for a library that takes only file names."""
    with os.fdopen(os.memfd_create("pem"), "wb", buffering=0) as file:
        file.write(text.encode("latin-1"))
        yield f"/proc/self/fd/{file.fileno()}"


def _no_passphrase() -> str:
    """Keeps OpenSSL from asking at the terminal, for kinds of encryption that we do not detect."""
    return ""


def names_of(settings: TlsSettings) -> Sequence[str]:
    """The hosts and addresses that the certificate is for; empty if clients will refuse it.

    Raises `BadCertificate`.
    """
    try:
        return _names(_seen_by_client(load(settings), _read("certificate", settings.certificate)))
    except (ssl.SSLError, ValueError):
        return ()


def _names(seen: dict[str, Any]) -> Sequence[str]:
    return [value for _, value in seen.get("subjectAltName", ())]


def _try(context: ssl.SSLContext, chain: str, settings: TlsSettings) -> None:
    """Do a handshake in memory with a client that trusts this certificate, and log any problem."""
    try:
        seen = _seen_by_client(context, chain)
    except ssl.SSLCertVerificationError as error:
        logger.error("clients will refuse %s: %s", settings.certificate, error.verify_message)
        return
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificate(_unusable(settings, error)) from None
    names = _names(seen)
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(seen["notAfter"]), UTC)
    logger.info("the certificate is for %s until %s", ", ".join(names) or "no name", ends.date())


def _seen_by_client(context: ssl.SSLContext, chain: str) -> dict[str, Any]:
    """The certificate as a client sees it that trusts it; raise `SSLError` or `ValueError`."""
    first = f"{BEGIN}{chain.partition(BEGIN)[2].partition(END)[0]}{END}"
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(first))
    return _handshake(client, context)


def _handshake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> dict[str, Any]:
    """Do a handshake of two contexts; the server's certificate as the client sees it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up)
    server = theirs.wrap_bio(up, down, server_side=True)
    for side in (client, server) * 3:  # TLS 1.2 takes as many turns.
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert() or {}


def _unusable(settings: TlsSettings, error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return f"key: {settings.key} is not the key of {settings.certificate}"
    why = reason.replace("_", " ").lower() if reason else str(error)
    return f"certificate: {settings.certificate} with {settings.key} cannot be used: {why}"


def _stamp(settings: TlsSettings) -> Stamp:
    """Follows symbolic links. The ctime also shows that a mode or an owner was fixed."""

    def look(path: Path) -> tuple[int, ...] | None:
        try:
            seen = path.stat()
        except OSError:
            return None
        return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)

    return look(settings.certificate), look(settings.key)
