"""Certificates from an authority by the ACME protocol (RFC 8555).

Import this module only where certificates are obtained: its libraries take half a second to load,
and 20 MB of memory. Load it before serving, since a thread that imports stops all others.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from acme import errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from blue_green.certificates import acme_advice, acme_failures, acme_order, issued
from blue_green.certificates.acme_account import GONE, AcmeAccount
from blue_green.certificates.acme_budget import Budget
from blue_green.certificates.acme_failures import AcmeTopic
from blue_green.certificates.acme_network import AcmeNetwork
from blue_green.certificates.acme_order import Order
from blue_green.certificates.acme_problem import kind_of
from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issued import Subject
from blue_green.certificates.issuer import IssueFailed, RenewalAdvice
from blue_green.config.process_settings import TlsSettings

logger = logging.getLogger(__name__)

ACCOUNT = "account.json"
RATE_LIMITED = "rateLimited"


class AcmeIssuer:
    """An authority that speaks ACME; an `Issuer`. Threads may share it."""

    notice = ""

    def __init__(
        self,
        tls: TlsSettings,
        directory: Path,
        challenges: Challenges,
        *,
        can_http: bool,
    ) -> None:
        """`directory` is for the account. `can_http` says whether the proxy answers http-01."""
        self._tls = tls
        self._challenges = challenges
        self._can_http = can_http
        self._account_file = directory / ACCOUNT
        self._account = AcmeAccount(self._account_file, tls)
        self._replaceable: dict[str, str] = {}
        """Host -> the identifier of the certificate that the next order replaces: so the authority
        knows a renewal, for which it may have other limits (RFC 9773 section 5)."""

    def issue(self, host: str, attempt: int) -> str:
        """See `Issuer`."""
        if host.startswith("*"):
            raise IssueFailed(
                f"a certificate for {host} needs a DNS challenge, which we cannot answer: use "
                "files, or name each host"
            )
        subject = issued.subject(host)
        with self._connected(host) as network:
            self._account.sign_in(network)
            order = self._place(network, subject)
            order.prove(subject, self._challenges, self._can_http, attempt)
            key = ec.generate_private_key(ec.SECP256R1())
            chain = order.finalize(issued.request_for(subject, key))
            text = issued.key_and_chain(chain, subject, key)
        self._replaceable.pop(str(subject), None)
        return text

    def advice(self, pem: str) -> RenewalAdvice | None:
        """See `Issuer`."""
        certificate = x509.load_pem_x509_certificate(pem.encode())
        with self._connected("a renewal") as network:
            advice = acme_advice.ask(network, certificate)
        if advice is not None and (name := acme_advice.identifier(certificate)) is not None:
            for host in issued.subjects_of(certificate):
                self._replaceable[host] = name
        return advice

    def _place(self, network: AcmeNetwork, host: Subject) -> Order:
        """Order a certificate, as the replacement of another if the authority knows that one."""
        replaces = self._replaceable.get(str(host))
        try:
            return acme_order.place(network, host, self._tls.profile, replaces)
        except messages.Error as error:
            if kind_of(error) == GONE:
                self._account.sign_in_again(network)
            elif replaces is None or kind_of(error) == RATE_LIMITED:
                raise
        except errors.ConflictError:  # It has been replaced already.
            if replaces is None:
                raise
        self._replaceable.pop(str(host), None)
        return acme_order.place(network, host, self._tls.profile, None)

    @contextmanager
    def _connected(self, host: str) -> Iterator[AcmeNetwork]:
        """A connection to the authority. Failures in the block become an `IssueFailed`."""
        network: AcmeNetwork | None = None
        try:
            network = AcmeNetwork(self._tls.directory_root, Budget())
            with closing(network):
                network.fetch_directory(self._tls.directory)
                yield network
        except IssueFailed:
            raise
        except Exception as error:  # noqa: BLE001 - Garbage makes the libraries raise anything.
            retry_at = network.retry_at() if network is not None else None
            until = f"{retry_at:%F %T} UTC" if retry_at is not None else ""
            topic = AcmeTopic(host, self._tls.directory, str(self._account_file), until)
            raise IssueFailed(acme_failures.in_words(error, topic), retry_at) from None
