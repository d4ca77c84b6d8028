"""Which hosts a public authority can issue certificates for."""

import pytest

from blue_green.config.public_hosts import is_public


@pytest.mark.parametrize("host", ["example.com", "a.b.co.uk", "xn--e1afmkfd.xn--p1ai", "8.8.8.8"])
def test_hosts_of_the_internet_are_public(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "app.localhost",
        "printer.local",
        "wiki.corp.internal",
        "a.test",
        "a.example",
        "nas.lan",
        "nas.home.arpa",
        "intranet",
        "10.0.0.1",
        "192.168.1.2",
        "127.0.0.1",
        "100.64.0.1",
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
    ],
)
def test_hosts_of_private_networks_are_not(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize(
    "host", ["local.example.com", "home.arpa.example.com", "testing", "latest.io"]
)
def test_only_whole_labels_at_the_end_count(host: str) -> None:
    assert is_public(host) == ("." in host)
