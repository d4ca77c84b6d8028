"""An order at an ACME authority, from the proof that a host is ours to its certificate."""

from acme import messages
from acme.messages import STATUS_INVALID, STATUS_PENDING, STATUS_READY, STATUS_VALID
from attrs import frozen
from cryptography import x509
from josepy.json_util import field

from blue_green.certificates import acme_challenges
from blue_green.certificates.acme_network import AcmeNetwork
from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issued import Subject


class NewOrder(messages.NewOrder):
    """With the certificate that the new one replaces (RFC 9773 section 5)."""

    replaces: str | None = field("replaces", omitempty=True)


class ChallengeFailed(Exception):
    """The authority has tried and not found our answer to a challenge."""

    def __init__(self, kind: str, problem: messages.Error | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.problem = problem


class OrderFailed(Exception):
    """The authority has given up an order that was ready."""

    def __init__(self, problem: messages.Error | None) -> None:
        super().__init__()
        self.problem = problem


@frozen
class Order:
    """An order that the authority has accepted."""

    network: AcmeNetwork
    url: str
    body: messages.Order

    def prove(self, host: Subject, challenges: Challenges, can_http: bool, attempt: int) -> None:
        """Let the authority convince itself that the host is ours.

        Raises `NoChallenge`, `ChallengeFailed`, and what the network raises.
        """
        for url in self.body.authorizations:
            self._authorize(url, host, challenges, can_http, attempt)

    def _authorize(
        self, url: str, host: Subject, challenges: Challenges, can_http: bool, attempt: int
    ) -> None:
        network = self.network
        assert network.key is not None
        found = messages.Authorization.from_json(network.fetch(url).json())
        if found.status == STATUS_VALID:  # From an earlier order.
            return
        if found.status != STATUS_PENDING:
            raise _challenge_failed(found, None)
        body = acme_challenges.choose(found.challenges, can_http, attempt)
        with acme_challenges.answered(body.chall, host, network.key, challenges):
            network.post(body.uri, body.chall.response(network.key))
            for json in network.poll(url):
                found = messages.Authorization.from_json(json)
                if found.status != STATUS_PENDING:
                    break
        if found.status != STATUS_VALID:
            raise _challenge_failed(found, body)

    def finalize(self, request: x509.CertificateSigningRequest) -> str:
        """The chain of certificates that the authority makes of this request, as it sends it.

        Raises `OrderFailed`, and what the network raises.
        """
        for json in self.network.poll(self.url):
            body = messages.Order.from_json(json)
            if body.status == STATUS_READY:
                posted = messages.CertificateRequest(csr=request)
                body = messages.Order.from_json(
                    self.network.post(self.body.finalize, posted).json()
                )
            if body.status == STATUS_VALID and body.certificate is not None:
                return str(self.network.fetch(body.certificate).text)
            if body.status == STATUS_INVALID:
                raise OrderFailed(body.error)
        raise AssertionError("polling ends only by an exception")


def place(network: AcmeNetwork, host: Subject, profile: str | None, replaces: str | None) -> Order:
    """Order a certificate for this host."""
    kind = messages.IDENTIFIER_FQDN if isinstance(host, str) else messages.IDENTIFIER_IP
    identifiers = (messages.Identifier(typ=kind, value=str(host)),)
    wish = NewOrder(identifiers=identifiers, profile=profile, replaces=replaces)
    response = network.post(network.directory["newOrder"], wish)
    body = messages.Order.from_json(response.json())
    return Order(network, response.headers["Location"], body)


def _challenge_failed(
    found: messages.Authorization, tried: messages.ChallengeBody | None
) -> ChallengeFailed:
    """Why the authority has not validated the host."""
    failed = [body for body in found.challenges if body.error is not None]
    body = failed[0] if failed else tried
    kind = "" if body is None else str(body.chall.typ)
    return ChallengeFailed(kind, failed[0].error if failed else None)
