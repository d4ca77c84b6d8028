"""What an authority may issue, and what must not replace a certificate."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from blue_green.certificates import issued
from blue_green.certificates.issued import Unusable
from tests.certificates.acme_parts import certificate_for, names_in

HOST = "blog.example.com"
KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = certificate_for(HOST, KEY)
HOUR = timedelta(hours=1)


def test_a_chain_comes_back_behind_its_key() -> None:
    text = issued.key_and_chain(GOOD, HOST, KEY)
    assert text == issued.pem_of_key(KEY) + GOOD
    assert names_in(text) == [HOST]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no chain of certificates"),
        ("\u2028" + GOOD[:300], "no chain of certificates"),
        (certificate_for(HOST), "another key"),
        (certificate_for("other.example.com", KEY), "another host"),
        (certificate_for("*.example.com", KEY), "another host"),
        (certificate_for(HOST, KEY, begins=-2 * HOUR, ends=-HOUR), "check this machine's clock"),
        (certificate_for(HOST, KEY, begins=HOUR, ends=2 * HOUR), "check this machine's clock"),
        (GOOD + certificate_for(HOST), "no chain of certificates"),
        (GOOD * 11, "a chain of 11 certificates"),
    ],
    ids=[
        "nothing",
        "half",
        "key",
        "host",
        "wildcard",
        "expired",
        "not yet valid",
        "another issuer",
        "long",
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        issued.key_and_chain(text, HOST, KEY)


def test_a_certificate_without_names_is_refused() -> None:
    pem = certificate_for(HOST, KEY)
    with pytest.raises(Unusable, match="another host"):
        issued.key_and_chain(pem, "192.0.2.1", KEY)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (HOST, x509.DNSName(HOST)),
        ("192.0.2.1", x509.IPAddress(ip_address("192.0.2.1"))),
        ("[2001:db8::1]", x509.IPAddress(ip_address("2001:db8::1"))),
    ],
)
def test_a_request_names_the_host_as_a_name_or_as_an_address(
    host: str, name: x509.GeneralName
) -> None:
    request = issued.request_for(issued.subject(host), KEY)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [name]
    assert request.public_key() == KEY.public_key()
    assert request.is_signature_valid
