"""Each authority has a directory of its own for its account and its certificates."""

from pathlib import Path

import pytest

from blue_green.certificates import authority
from blue_green.certificates.pem import BadCertificate
from blue_green.certificates.table import CertificateTable
from blue_green.config.kinds import AcmeContact, Url
from blue_green.config.process_settings import TlsSettings

MAIL = AcmeContact("you@example.com")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (TlsSettings().directory, "acme-v02.api.letsencrypt.org_directory"),
        ("https://127.0.0.1:14000/dir", "127.0.0.1_14000_dir"),
        ("https://[::1]/a/../b", "_1_a_.._b"),
        ("https://internal", "internal_"),
    ],
)
def test_an_authority_has_a_directory_named_after_its_url(url: str, name: str) -> None:
    tls = TlsSettings(acme=MAIL, directory=Url(url))
    directory = authority.directory_of(tls, Path("/state"))
    assert directory.parent == Path("/state/certificates")
    assert directory.name.startswith(name)


def test_long_urls_have_short_names_that_differ() -> None:
    urls = [Url(f"https://a.example/{'x' * 300}{end}") for end in "ab"]
    names = [
        authority.directory_of(TlsSettings(acme=MAIL, directory=url), Path("/state")).name
        for url in urls
    ]
    assert len(set(names)) == 2
    assert max(map(len, names)) < 120


@pytest.mark.parametrize(
    ("one", "other"), [("/dir/a", "/dir_a"), ("/dir", "/dir?a=1"), ("/dir/:a", "/dir/_a")]
)
def test_similar_urls_have_names_that_differ(one: str, other: str) -> None:
    first, second = (
        authority.directory_of(
            TlsSettings(acme=MAIL, directory=Url(f"https://a.example{path}")), Path("/state")
        )
        for path in (one, other)
    )
    assert first != second


def test_a_directory_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("")
    tls = TlsSettings(acme=AcmeContact("internal"))
    with pytest.raises(BadCertificate, match="where the certificates are kept"):
        authority.keeper(tls, tmp_path, CertificateTable(), redirects=False)
