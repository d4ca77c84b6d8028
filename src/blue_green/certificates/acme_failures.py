"""Why an ACME authority has issued no certificate: in plain words, with what to check."""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import requests
from acme import errors, messages
from attrs import frozen
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from blue_green.certificates import acme_budget
from blue_green.certificates.account_file import AccountUnreadable
from blue_green.certificates.acme_account import BadBinding
from blue_green.certificates.acme_budget import OrderTimeout, ResponseTooLarge
from blue_green.certificates.acme_challenges import NoChallenge
from blue_green.certificates.acme_network import BadRoots, Compressed, NoDirectory, Redirected
from blue_green.certificates.acme_order import ChallengeFailed, OrderFailed
from blue_green.certificates.acme_problem import kind_of, quote_of, quoted
from blue_green.certificates.issued import Unusable

PORTS = {"http-01": 80, "tls-alpn-01": 443}
MOST_CAUSES = 100

ANOTHER_SERVER = (
    "did not get our response from {host} on port {port}: {quote}: check that its A and AAAA "
    "records lead to this server, that its port {port} is reachable from the internet, and that no "
    "other web server or proxy answers there"
)
CHALLENGE = {
    "dns": "finds no address of {host}: {quote}: check that its A or AAAA record has the address "
    "of this server",
    "connection": "cannot connect to {host} on port {port}: {quote}: check that its A and AAAA "
    "records lead to this server, and that its port {port} is reachable from the internet",
    "tls": "cannot speak TLS with {host} on port {port}: {quote}: check that its A and AAAA "
    "records lead to this server, and that no other TLS server is in between",
    "unauthorized": ANOTHER_SERVER,
    "incorrectResponse": ANOTHER_SERVER,
    "caa": "may not issue certificates for {host}: {quote}: check the CAA records of its domain",
    "dnssec": "cannot verify the DNSSEC signatures of {host}: {quote}: check the DNS of its domain",
}
"""What is wrong when the authority cannot validate a host, by kind of problem."""

REQUEST = {
    "accountDoesNotExist": "does not know our account: {quote}: try again, and remove {account} if "
    "that does not help",
    "badCSR": "refuses our request for {host}: {quote}",
    "badNonce": "refuses all our nonces: {quote}",
    "badSignatureAlgorithm": "accepts no ECDSA keys for accounts: {quote}",
    "caa": CHALLENGE["caa"],
    "dns": CHALLENGE["dns"],
    "externalAccountRequired": "issues certificates only to those who have an account with it: "
    "{quote}: set eab_kid and eab_key_file in [proxy.tls] to what you got from it",
    "invalidContact": "refuses the mail address in acme of [proxy.tls]: {quote}: check it",
    "invalidProfile": "has no such profile: {quote}: check profile in [proxy.tls]",
    "malformed": "does not accept our request for {host}: {quote}: check directory, profile and "
    "eab_kid in [proxy.tls]",
    "rateLimited": "has had too many requests{until}: {quote}",
    "rejectedIdentifier": "issues no certificates for {host}: {quote}: check the host's name; for "
    'a name that is not public, use files or acme = "internal"',
    "serverInternal": "reports a fault of its own: {quote}",
    "unauthorized": "refuses our account: {quote}: check eab_kid and eab_key_file in [proxy.tls] "
    "if they are set; remove {account} to register a new account",
    "userActionRequired": "wants you to do something first: {quote}: open the page that it names",
}
REQUEST["unsupportedContact"] = REQUEST["invalidContact"]
REQUEST["unsupportedIdentifier"] = REQUEST["rejectedIdentifier"]
"""What is wrong when the authority refuses a request, by kind of problem."""

GARBAGE: Sequence[tuple[type[Exception], str]] = (
    (NoDirectory, "has no ACME directory at this URL: check directory in [proxy.tls]"),
    (ResponseTooLarge, f"sent more than {acme_budget.LARGEST_RESPONSE} bytes: check directory"),
    (Compressed, "sent a compressed response, which we accept from nobody"),
    (errors.NonceError, "sent a response without a nonce: check that no proxy is in between"),
    (errors.ConflictError, "reports a conflict (status 409)"),
    (errors.ClientError, "sent a response that is no JSON: check directory in [proxy.tls]"),
    (requests.JSONDecodeError, "sent a response that is no JSON: check directory in [proxy.tls]"),
)
"""What no authority should send; the first kind of error counts."""


@frozen
class AcmeTopic:
    """What a failure is about."""

    host: str
    directory: str
    """The URL of the authority's directory."""
    account: str = "account.json"
    """The file of our account."""
    until: str = ""
    """Until when the authority wants no more requests, if it said so."""


def in_words(error: Exception, topic: AcmeTopic) -> str:
    """What happened, and what to check. Responses may be anything, and so may the error."""
    authority = urlsplit(topic.directory).netloc
    match error:
        case AccountUnreadable() | BadBinding():
            return str(error)
        case BadRoots():
            return f"directory_root: {error}"
        case ChallengeFailed():
            return f"{authority} {_of_challenge(error, topic)}"
        case OrderFailed(problem=None):
            return f"{authority} gave up the order for {topic.host} without a reason"
        case messages.Error() as problem:
            return f"{authority} {_of_problem(problem, REQUEST, topic)}"
        case OrderFailed(problem=messages.Error() as problem):
            return f"{authority} {_of_problem(problem, REQUEST, topic)}"
    return f"{authority} {_of_conversation(error, topic)}"


def _of_challenge(failed: ChallengeFailed, topic: AcmeTopic) -> str:
    if failed.problem is None:
        return f"could not validate {topic.host}, without a reason"
    port = PORTS.get(failed.kind, 443)
    return _of_problem(failed.problem, REQUEST | CHALLENGE, topic, port)


def _of_problem(
    problem: messages.Error, table: Mapping[str, str], topic: AcmeTopic, port: int = 0
) -> str:
    words = table.get(kind_of(problem), "issued no certificate for {host}: {quote}")
    return words.format(
        host=topic.host,
        port=port,
        quote=quote_of(problem),
        account=topic.account,
        until=f", and wants no more until {topic.until}" if topic.until else "",
    )


def _of_conversation(error: Exception, topic: AcmeTopic) -> str:
    """The authority cannot be reached, or says what no authority should say."""
    match error:
        case OrderTimeout():
            seconds = acme_budget.ORDER_TIMEOUT
            return f"has not finished the order for {topic.host} within {seconds:g} s"
        case Redirected():
            return f"redirects to {quoted(error)}: set directory in [proxy.tls] to the final URL"
        case NoChallenge():
            return (
                f"offers for {topic.host} only what we cannot do ({quoted(error)}), not http-01 on "
                "the addresses of redirect, nor tls-alpn-01"
            )
        case Unusable():
            return f"issued for {topic.host} {error}: the certificate is not used"
        case InvalidSchema() | MissingSchema() | InvalidURL():
            return f"named a URL that is none of https: {quoted(error)}"
        case errors.ClientError(args=(requests.Response() as response, *_)):
            return _of_status(response)
    for kind, words in GARBAGE:
        if isinstance(error, kind):
            return words
    if isinstance(error, requests.RequestException):
        return _of_connection(error)
    return (
        "sent a response that makes no sense: check directory in [proxy.tls] "
        f"({type(error).__name__}: {quoted(error)})"
    )


def _of_status(response: requests.Response) -> str:
    if response.status_code >= 500:
        return f"answered with status {response.status_code}: it seems to have a fault of its own"
    return f"answered with status {response.status_code}: check directory in [proxy.tls]"


def _of_connection(error: requests.RequestException) -> str:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                why = quoted(cause.verify_message)
                return (
                    f"has a certificate that we do not trust: {why}: for a private authority, set "
                    "directory_root in [proxy.tls] to the file of its root; check this machine's "
                    "clock"
                )
            case ssl.SSLError():
                reason = getattr(cause, "reason", "") or cause
                return (
                    f"does not speak TLS as it should: {quoted(reason)}: check directory in "
                    "[proxy.tls]"
                )
            case socket.gaierror():
                return (
                    f"has no address ({quoted(cause.strerror)}): check directory in [proxy.tls], "
                    "and the DNS of this machine"
                )
            case TimeoutError():
                seconds = acme_budget.REQUEST_TIMEOUT
                return f"did not answer within {seconds:g} s: check that no firewall is in between"
            case OSError(strerror=str() as why) if not isinstance(cause, requests.RequestException):
                return f"cannot be reached: {why}: check directory, and the network of this machine"
    return f"ended the connection in the middle: {quoted(error)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that led to it, whichever way the libraries have wrapped it."""
    waiting: list[BaseException] = [error]
    for _ in range(MOST_CAUSES):
        if not waiting:
            return
        cause = waiting.pop()
        yield cause
        wrapped = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting.extend(inner for inner in wrapped if isinstance(inner, BaseException))
