"""Certificates as an authority issues them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blue_green.certificates.kept_certificate import read
from blue_green.certificates.pem import BadCertificate
from tests.support.fake_issuer import DAY, make_pem

ABOUT = Path("a.pem")


@pytest.mark.parametrize(
    "host", ["a.example", "*.a.example", "[::1]", "[2001:db8::8]", "127.0.0.1", "xn--d1acufc.test"]
)
def test_a_certificate_is_read_with_its_life(host: str) -> None:
    issued = read(make_pem(host, 6 * DAY, age=DAY), host, ABOUT)
    assert issued.valid_until - issued.valid_from == 6 * DAY
    assert abs(issued.valid_until - datetime.now(UTC) - 5 * DAY) < timedelta(minutes=1)
    assert issued.loaded.valid_until == issued.valid_until
    assert issued.loaded.is_quick
    assert 0 <= issued.spread <= 1


def test_an_expired_certificate_can_be_used() -> None:
    assert read(make_pem("a.example", DAY, age=3 * DAY), "a.example", ABOUT).loaded.contexts


def test_a_certificate_of_another_host_is_refused() -> None:
    with pytest.raises(BadCertificate, match=r"a\.pem is not for a\.example, but for b\.example"):
        read(make_pem("b.example"), "a.example", ABOUT)


def test_a_key_of_another_certificate_is_refused() -> None:
    key = make_pem("a.example").partition("-----BEGIN CERT")[0]
    chain = "-----BEGIN CERT" + make_pem("a.example").partition("-----BEGIN CERT")[2]
    with pytest.raises(BadCertificate, match="is not the key of"):
        read(key + chain, "a.example", ABOUT)


@pytest.mark.parametrize("cut", [0, 1, 100, 300, 500, -30])
def test_damaged_text_is_refused(cut: int) -> None:
    with pytest.raises(BadCertificate):
        read(make_pem("a.example")[:cut], "a.example", ABOUT)


@pytest.mark.parametrize("text", ["\xff\x00" * 100, "-----BEGIN CERTIFICATE-----\n\u20ac\n"])
def test_text_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(BadCertificate):
        read(text, "a.example", ABOUT)
