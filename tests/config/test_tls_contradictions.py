"""Where the certificates of all hosts come from: mistakes that single settings do not show."""

from pathlib import Path

import pytest

from blue_green.supervisor import settings_file
from tests.support.settings import (
    MINIMAL,
    TLS,
    load,
    problems,
    problems_of_sites,
    site,
    write_sites,
)

ACME = '[proxy.tls]\nacme = "you@example.com"\n'
INTERNAL = '[proxy.tls]\nacme = "internal"\n'
PAIR = '[tls]\ncertificate = "own.pem"\nkey = "own.key"\n'
PUBLIC = 'hosts = ["www.example.com"]\n'


@pytest.mark.parametrize(
    ("more", "key", "why"),
    [
        ("[proxy.tls]", "[proxy.tls]", 'needs acme = "you@example.com"'),
        (f'{TLS}acme = "internal"', "[proxy.tls] certificate", "has no effect with acme"),
        ('[proxy.tls]\ncertificate = "c"', "[proxy.tls] key", "is missing, and certificate is set"),
        ('[proxy.tls]\nkey = "c"', "[proxy.tls] certificate", "is missing, and key is set"),
        (f'{ACME}eab_kid = "k"', "[proxy.tls] eab_key_file", "is missing, and eab_kid is set"),
        (f'{ACME}eab_key_file = "k"', "[proxy.tls] eab_kid", "is missing, and eab_key_file is set"),
        (f'{TLS}profile = "p"', "[proxy.tls] profile", "no effect without a mail address in acme"),
        (f'{INTERNAL}directory_root = "r"', "[proxy.tls] directory_root", "without a mail address"),
        (f'{INTERNAL}directory = "https://ca/"', "[proxy.tls] directory", "without a mail address"),
        (PAIR, "[tls] certificate", "has no effect without [proxy.tls]"),
        ('[tls]\nhsts = "1d"', "[tls] hsts", "has no effect without [proxy.tls]"),
        (f'{TLS}[tls]\nkey = "c"', "[tls] certificate", "is missing, and key is set"),
    ],
)
def test_contradictions_about_tls_are_an_error(file: Path, more: str, key: str, why: str) -> None:
    (problem,) = problems(file, more, start=PUBLIC + MINIMAL)
    assert problem.startswith(f"{key}: ")
    assert why in problem


def test_all_contradictions_are_reported_at_once(file: Path) -> None:
    more = f'{TLS}eab_kid = "k"\nprofile = "p"\n[tls]\nkey = "k"'
    keys = [problem.partition(": ")[0] for problem in problems(file, more)]
    expected = ["eab_key_file", "eab_kid", "profile"]
    assert keys == [*(f"[proxy.tls] {key}" for key in expected), "[tls] certificate"]


@pytest.mark.parametrize("tls", [ACME, INTERNAL, TLS, f"[proxy.tls]\n{PAIR}", f"{ACME}{PAIR}"])
def test_each_way_to_a_certificate_is_enough(file: Path, tls: str) -> None:
    assert load(file, tls, start=PUBLIC + MINIMAL).proxy.tls


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ('hosts = ["*.example.org", "www.example.org"]', "*.example.org: acme obtains certificate"),
        ("", "*: acme obtains certificates only for exact hosts: list each of them"),
        ('hosts = ["*"]', "*: acme obtains certificates only for exact hosts: list each of them"),
        ('hosts = ["localhost", "www.example.org"]', "localhost: a public authority issues no"),
        ('hosts = ["a.lan", "10.1.2.3"]', "a.lan, 10.1.2.3: a public authority issues no"),
        ('hosts = ["a_b.example.org"]', "a_b.example.org: public authorities issue no certificate"),
    ],
)
def test_hosts_for_which_no_certificate_can_be_obtained_are_an_error(
    file: Path, hosts: str, why: str
) -> None:
    (problem,) = problems(file, ACME, start=f"{hosts}\n{MINIMAL}")
    assert problem.startswith(f"hosts: {why}")


def test_a_wildcard_that_browsers_refuse_is_an_error(file: Path) -> None:
    start = f'hosts = ["*.localhost", "*.a.localhost"]\n{MINIMAL}'
    (problem,) = problems(file, INTERNAL, start=start)
    assert problem.startswith(
        "hosts: *.localhost: browsers accept no wildcard directly below a top"
    )


@pytest.mark.parametrize("contact", ["mailto:you@example.com", "you", "you@", "a b@example.com"])
def test_what_is_no_mail_address_is_an_error(file: Path, contact: str) -> None:
    (problem,) = problems(file, f'[proxy.tls]\nacme = "{contact}"\n', start=PUBLIC + MINIMAL)
    assert problem.startswith('[proxy.tls] acme: must be a mail address such as "you@example.com"')


def test_hosts_that_are_redirected_need_a_certificate_too(file: Path) -> None:
    start = f'{PUBLIC}redirect_hosts = ["www.lan"]\n{MINIMAL}'
    (problem,) = problems(file, ACME, start=start)
    assert problem.startswith("redirect_hosts: www.lan: a public authority issues no certificate")


@pytest.mark.parametrize(
    "tls",
    [
        f'{ACME}directory_root = "root.pem"\n',
        f'{ACME}directory = "https://ca.internal/acme/directory"\n',
        f'{ACME}directory = "https://10.0.0.1:14000/dir"\n',
        INTERNAL,
        TLS,
        f"{ACME}{PAIR}",
    ],
)
def test_private_hosts_may_have_certificates_of_private_authorities_and_files(
    file: Path, tls: str
) -> None:
    hosts = 'hosts = ["shop.lan", "10.1.2.3", "[fd00::1]", "localhost", "a_b.test"]\n'
    assert load(file, tls, start=hosts + MINIMAL).proxy.tls


def test_an_authority_of_our_own_and_files_may_have_wildcards(file: Path) -> None:
    for tls in (INTERNAL, TLS, f"{ACME}{PAIR}"):
        assert load(file, tls, start=f'hosts = ["*.example.org", "*"]\n{MINIMAL}').proxy.tls


def test_another_port_than_443_may_be_forwarded_to_us(file: Path) -> None:
    assert load(file, f'[proxy]\nlisten = ["[::]:8443"]\n{ACME}', start=PUBLIC + MINIMAL).proxy.tls


def test_of_several_sites_each_needs_a_certificate(file: Path) -> None:
    sites = {
        "files": site(3000, "files.example.org", after=PAIR),
        "none": site(3002, "none.example.org"),
        "wild": site(3004, "*.example.org", after='[tls]\nhsts = "1h"'),
    }
    assert problems_of_sites(file, "[proxy.tls]", **sites) == [
        f"sites/{name}.toml: [tls]: is missing, and [proxy.tls] needs acme = "
        '"you@example.com", which gets the certificates, or the files certificate and key, there '
        "for all sites or here for this one"
        for name in ("none", "wild")
    ]
    (problem,) = problems_of_sites(file, ACME, **sites)
    assert problem.startswith("sites/wild.toml: hosts: *.example.org: acme obtains certificates")


def test_two_sites_of_one_host_have_one_certificate(file: Path) -> None:
    host, pair = "shop.example.org", PAIR.replace("own.", f"{file.parent}/own.")
    other = pair.replace("own.key", "other.key")
    api = site(3002, host, before='paths = ["/api"]', after=other)
    (problem,) = problems_of_sites(file, TLS, shop=site(3000, host, after=pair), api=api)
    assert problem == (
        "sites/shop.toml: [tls] certificate: shop.example.org has another certificate in "
        "sites/api.toml: name the same files in both, or leave them out in one"
    )
    for tls in ("", pair):
        api = site(3002, host, before='paths = ["/api"]', after=tls)
        write_sites(file, ACME, shop=site(3000, host, after=pair), api=api)
        assert len(settings_file.load(file).sites) == 2


def test_a_wildcard_needs_files_in_one_of_the_sites_that_share_it(file: Path) -> None:
    wild = "*.example.org"
    api = site(3002, wild, before='paths = ["/api"]')
    for tls in (ACME, "[proxy.tls]"):
        write_sites(file, tls, shop=site(3000, wild, after=PAIR), api=api)
        assert len(settings_file.load(file).sites) == 2


def test_paths_of_certificates_are_relative_to_their_file(file: Path) -> None:
    more = 'directory_root = "root.pem"\neab_kid = "k"\neab_key_file = "eab.key"\n'
    settings = load(file, ACME + more + PAIR, start=PUBLIC + MINIMAL)
    tls, own, directory = settings.proxy.tls, settings.sites[0].tls, file.parent
    assert tls is not None
    assert (tls.directory_root, tls.eab_key_file) == (directory / "root.pem", directory / "eab.key")
    assert (own.certificate, own.key) == (directory / "own.pem", directory / "own.key")
