"""The account at an ACME authority: registered once, and used by all orders."""

import logging
import re
import threading
from pathlib import Path
from typing import Any

import attrs
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from blue_green.certificates import account_file
from blue_green.certificates.account_file import AccountRecord
from blue_green.certificates.acme_budget import OrderTimeout
from blue_green.certificates.acme_network import AcmeNetwork
from blue_green.certificates.acme_problem import kind_of, quote_of
from blue_green.config.process_settings import TlsSettings
from blue_green.system import files

logger = logging.getLogger(__name__)

GONE = "accountDoesNotExist"
LARGEST_KEY = 4096
"""Bytes of the file of an external account's key."""
BASE64URL = re.compile(rb"[A-Za-z0-9_-]+")


class BadBinding(Exception):
    """The external account in the settings cannot be used; str() says why, and what to do."""


class AcmeAccount:
    """The account of these settings. Threads may share it."""

    def __init__(self, file: Path, tls: TlsSettings) -> None:
        self._file = file
        self._tls = tls
        self._contact = f"mailto:{tls.acme}"
        self._lock = threading.Lock()
        """Held while the account is read, registered or written: other orders wait for that."""
        self._record: AccountRecord | None = None
        self._saved: AccountRecord | None = None

    def sign_in(self, network: AcmeNetwork) -> None:
        """Let the network use the account, which is registered or updated first if need be.

        Raises `BadBinding`, `AccountUnreadable`, and what the network raises.
        """
        if not self._lock.acquire(timeout=network.budget.seconds_left()):
            raise OrderTimeout
        try:
            record = self._record or self._load()
            network.key = JWKEC(key=ComparableECKey(record.key))
            network.account = None
            if record.url:
                _use(network, record.url)
                record = self._with_contact(network, record)
            if not record.url:
                record = self._register(network, record)
            self._record = record
            if self._saved != record and account_file.save(self._file, record):
                self._saved = record
        finally:
            self._lock.release()

    def sign_in_again(self, network: AcmeNetwork) -> None:
        """Sign in after the authority has said that it does not know the network's account."""
        with self._lock:
            # Another order may have registered a new one meanwhile.
            record, account = self._record, network.account
            if record is not None and account is not None and record.url == account.uri:
                self._record = attrs.evolve(record, url="")
        self.sign_in(network)

    def _load(self) -> AccountRecord:
        self._saved = account_file.load(self._file)
        if self._saved is not None and self._tls.eab_kid in (None, self._saved.eab_kid):
            return self._saved
        # An account cannot be bound to another external one (RFC 8555 section 7.3.4).
        return AccountRecord(ec.generate_private_key(ec.SECP256R1()), "", "")

    def _register(self, network: AcmeNetwork, record: AccountRecord) -> AccountRecord:
        body = messages.NewRegistration(
            contact=(self._contact,),
            terms_of_service_agreed=True,
            external_account_binding=self._binding(network),
        )
        network.account = None  # The request carries the key instead of the account's URL.
        response = network.post(network.directory["newAccount"], body)
        url = response.headers["Location"]
        logger.info("registered an account at %s", self._tls.directory)
        _use(network, url)
        return AccountRecord(record.key, url, self._contact, self._tls.eab_kid or "")

    def _with_contact(self, network: AcmeNetwork, record: AccountRecord) -> AccountRecord:
        """Tell the authority our mail address if it is new; no URL if the account is gone."""
        if record.contact == self._contact:
            return record
        try:
            network.post(record.url, messages.UpdateRegistration(contact=(self._contact,)))
        except messages.Error as error:
            if kind_of(error) == GONE:
                return attrs.evolve(record, url="")
            # It is no reason to issue no certificates.
            logger.warning(
                "%s does not take the new mail address: %s",
                self._tls.directory,
                quote_of(error),
            )
            return record
        return attrs.evolve(record, contact=self._contact)

    def _binding(self, network: AcmeNetwork) -> dict[str, Any] | None:
        """The proof that an account of the user's is ours (RFC 8555 section 7.3.4)."""
        identifier, file = self._tls.eab_kid, self._tls.eab_key_file
        if identifier is None or file is None:
            return None
        assert network.key is not None
        return messages.ExternalAccountBinding.from_data(
            network.key.public_key(), identifier, binding_key(file), network.directory
        )


def binding_key(file: Path) -> str:
    """The key of an account of the user's, in base64url; raise `BadBinding`."""
    try:
        key = files.read_bounded(file, LARGEST_KEY).strip().rstrip(b"=")
    except files.UnfitFile as error:
        raise BadBinding(f"eab_key_file: {file} {error.strerror}") from None
    except OSError as error:
        raise BadBinding(f"eab_key_file: {file} cannot be read: {error.strerror}") from None
    if not BASE64URL.fullmatch(key):
        raise BadBinding(
            f"eab_key_file: {file} must have the key in base64url, as you got it from the "
            "authority, and nothing else"
        )
    return key.decode()


def _use(network: AcmeNetwork, url: str) -> None:
    network.account = messages.RegistrationResource(uri=url, body=messages.Registration())
