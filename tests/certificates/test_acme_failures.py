"""What people read when there is no certificate."""

import socket
import ssl
from typing import Any

import pytest
import requests
from acme import errors, messages
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from blue_green.certificates import acme_failures
from blue_green.certificates.acme_budget import OrderTimeout, ResponseTooLarge
from blue_green.certificates.acme_challenges import NoChallenge
from blue_green.certificates.acme_failures import AcmeTopic
from blue_green.certificates.acme_network import Compressed, NoDirectory, Redirected
from blue_green.certificates.acme_order import ChallengeFailed, OrderFailed
from blue_green.certificates.issued import Unusable

TOPIC = AcmeTopic(
    "blog.example.com", "https://acme.example/dir", "/var/lib/x/account.json", "2026-11-28"
)


def problem(kind: str, detail: str | None = "because", **more: object) -> messages.Error:
    make: Any = messages.Error
    error: messages.Error = make(typ=f"urn:ietf:params:acme:error:{kind}", detail=detail, **more)
    return error


@pytest.mark.parametrize(
    ("kind", "challenge", "words"),
    [
        ("dns", "http-01", "finds no address of blog.example.com"),
        ("connection", "http-01", "its port 80 is reachable from the internet"),
        ("connection", "tls-alpn-01", "its port 443 is reachable from the internet"),
        ("tls", "tls-alpn-01", "no other TLS server is in between"),
        ("unauthorized", "http-01", "no other web server or proxy answers there"),
        ("incorrectResponse", "http-01", "no other web server or proxy answers there"),
        ("caa", "http-01", "check the CAA records of its domain"),
        ("dnssec", "http-01", "check the DNS of its domain"),
        ("rateLimited", "http-01", "had too many requests"),
        ("somethingNew", "http-01", "issued no certificate for blog.example.com"),
    ],
)
def test_a_failed_challenge_says_what_to_check(kind: str, challenge: str, words: str) -> None:
    why = acme_failures.in_words(ChallengeFailed(challenge, problem(kind)), TOPIC)
    assert why.startswith("acme.example ")
    assert words in why
    assert '"because"' in why


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("accountDoesNotExist", "remove /var/lib/x/account.json"),
        ("badCSR", "refuses our request for blog.example.com"),
        ("badNonce", "refuses all our nonces"),
        ("badSignatureAlgorithm", "accepts no ECDSA keys"),
        ("caa", "check the CAA records"),
        ("externalAccountRequired", "set eab_kid and eab_key_file in [proxy.tls]"),
        ("invalidContact", "the mail address in acme of [proxy.tls]"),
        ("unsupportedContact", "the mail address in acme of [proxy.tls]"),
        ("invalidProfile", "check profile in [proxy.tls]"),
        ("malformed", "check directory, profile and eab_kid in [proxy.tls]"),
        ("rateLimited", "wants no more until 2026-11-28"),
        ("rejectedIdentifier", 'use files or acme = "internal"'),
        ("unsupportedIdentifier", 'use files or acme = "internal"'),
        ("serverInternal", "reports a fault of its own"),
        ("unauthorized", "remove /var/lib/x/account.json to register a new account"),
        ("userActionRequired", "open the page that it names"),
        ("somethingNew", "issued no certificate for blog.example.com"),
    ],
)
def test_a_refused_request_says_what_to_do(kind: str, words: str) -> None:
    for error in (problem(kind), OrderFailed(problem(kind))):
        why = acme_failures.in_words(error, TOPIC)
        assert why.startswith("acme.example ")
        assert words in why
        assert '"because"' in why


def response(status: int) -> requests.Response:
    found = requests.Response()
    found.status_code = status
    return found


def caused(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OrderTimeout(), "has not finished the order for blog.example.com within 120 s"),
        (ResponseTooLarge(), "sent more than 1048576 bytes"),
        (Redirected("https://x"), 'redirects to "https://x": set directory'),
        (NoDirectory(), "has no ACME directory at this URL: check directory"),
        (NoChallenge("dns-01"), 'only what we cannot do ("dns-01")'),
        (ChallengeFailed("http-01", None), "could not validate blog.example.com, without a reason"),
        (OrderFailed(None), "gave up the order for blog.example.com without a reason"),
        (Unusable("a certificate for another key"), "a certificate for another key"),
        (errors.ClientError(response(404)), "answered with status 404: check directory"),
        (errors.ClientError(response(503)), "status 503: it seems to have a fault of its own"),
        (Compressed(), "sent a compressed response"),
        (errors.ConflictError("x"), "reports a conflict (status 409)"),
        (errors.ClientError("Unexpected response Content-Type"), "a response that is no JSON"),
        (errors.NonceError(), "sent a response without a nonce"),
        (InvalidSchema("http://x"), 'named a URL that is none of https: "http://x"'),
        (MissingSchema("x"), "named a URL that is none of https"),
        (InvalidURL("https://x y"), "named a URL that is none of https"),
        (requests.JSONDecodeError("no", "", 0), "sent a response that is no JSON"),
        (caused(requests.ConnectionError(), untrusted()), "self-signed certificate"),
        (caused(requests.ConnectionError(), untrusted()), "set directory_root in [proxy.tls]"),
        (caused(requests.ConnectionError(), ssl.SSLError(1, "odd")), "does not speak TLS as it"),
        (
            caused(requests.ConnectionError(), socket.gaierror(-2, "Name or service not known")),
            "has no address",
        ),
        (caused(requests.ConnectionError(), TimeoutError()), "did not answer within 15 s"),
        (
            caused(requests.ConnectionError(), ConnectionRefusedError(111, "Connection refused")),
            "cannot be reached: Connection refused",
        ),
        (requests.ConnectionError("closed"), 'ended the connection in the middle: "closed"'),
        (KeyError("finalize"), "sent a response that makes no sense"),
    ],
)
def test_whatever_else_goes_wrong_is_said_in_words(error: Exception, words: str) -> None:
    why = acme_failures.in_words(error, TOPIC)
    assert why.startswith("acme.example ")
    assert words in why


def test_the_text_of_the_authority_is_printable_and_bounded() -> None:
    hostile = '\x1b[2J\u202e"\r\n\x00' + "long " * 100_000
    more = (problem("dns", hostile), problem("dns", hostile))
    for error in (problem("dns", hostile), problem("compound", None, subproblems=more)):
        why = acme_failures.in_words(ChallengeFailed("http-01", error), TOPIC)
        assert why.isprintable()
        assert len(why) < 800
        assert why.count('"') == 2


def test_text_in_braces_is_quoted_as_it_is() -> None:
    why = acme_failures.in_words(problem("badCSR", "{host} {0} {quote.__class__}"), TOPIC)
    assert '"{host} {0} {quote.__class__}"' in why


def test_parts_of_a_problem_are_quoted() -> None:
    parts = (problem("caa", "no CAA"), problem("dns", "no A"))
    why = acme_failures.in_words(problem("compound", "two", subproblems=parts), TOPIC)
    assert '"two; no CAA; no A"' in why


def test_causes_that_form_a_circle_are_followed_to_an_end() -> None:
    first, second = requests.ConnectionError("a"), requests.ConnectionError("b")
    first.__cause__, second.__cause__ = second, first
    assert "ended the connection" in acme_failures.in_words(first, TOPIC)
