"""Which certificate a name gets."""

import ssl

import pytest
import trio

from blue_green.certificates.table import CertificateTable, TableEntry


@pytest.fixture
def table() -> CertificateTable:
    table = CertificateTable()
    for host in ("a.example", "*.a.example", "b.a.example", "127.0.0.1", "[::1]"):
        table.entry(host)
    return table


NAMES = {
    "a.example": "a.example",
    "A.EXAMPLE": "a.example",
    "a.example.": "a.example",
    "b.a.example": "b.a.example",
    "c.a.example": "*.a.example",
    "C.A.Example.": "*.a.example",
    "my_app.a.example": "*.a.example",
    "127.0.0.1": "127.0.0.1",
    "d.c.a.example": None,
    "example": None,
    "": None,
    ".": None,
    ".a.example": None,
    "*.a.example": "*.a.example",
    "a.example..": None,
    "c d.a.example": None,
    "c\n.a.example": None,
    "c/d.a.example": None,
    "\xe4.a.example": None,
    f"{'x' * 63}.a.example": "*.a.example",
    f"{'x' * 64}.a.example": None,
    f"{'x' * 16_000}.a.example": None,
}


@pytest.mark.parametrize(("name", "host"), NAMES.items(), ids=[ascii(name)[:40] for name in NAMES])
def test_a_name_gets_the_entry_of_its_host_else_of_the_wildcard_above_it(
    table: CertificateTable, name: str, host: str | None
) -> None:
    assert table.find(name) is (None if host is None else table.entry(host))


def test_a_name_without_an_entry_gets_the_default_if_it_may_be_a_host(
    table: CertificateTable,
) -> None:
    table.default = TableEntry()
    for name in ("x.example", "192.0.2.1", "localhost"):
        assert table.find(name) is table.default
    for name in ("", "x example", "\0", "[::2]", "x" * 300):
        assert table.find(name) is None


def test_a_client_without_a_name_gets_the_entry_of_its_address_else_the_default(
    table: CertificateTable,
) -> None:
    assert table.find(None, "127.0.0.1") is table.entry("127.0.0.1")
    assert table.find(None, "::1") is table.entry("[::1]")
    assert table.find(None, "192.0.2.1") is None
    assert table.find(None) is None
    table.default = TableEntry()
    assert table.find(None, "192.0.2.1") is table.default
    assert table.find(None) is table.default


def test_the_long_names_of_an_attacker_are_judged_in_constant_time(table: CertificateTable) -> None:
    table.default = TableEntry()
    for name in ("a." * 8000, "a" * 16_000, "a." * 126 + "!"):
        assert table.find(name) is None


def test_challenges_are_found_by_the_same_form_of_the_name(table: CertificateTable) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    table.challenges.tls["a.example"] = context
    assert table.challenge("A.example.") is context
    assert table.challenge("b.example") is None
    assert table.challenge(None) is None


async def test_removing_a_host_ends_the_wait_for_its_certificate(table: CertificateTable) -> None:
    entry = table.entry("a.example")
    entry.coming = trio.Event()
    table.remove("a.example")
    assert entry.coming.is_set()
    assert table.find("a.example") is None
