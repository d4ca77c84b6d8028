"""Where the certificate of each host comes from."""

import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from blue_green.certificates.certificates import Certificates
from blue_green.config.hosts import ExactHost, HostPattern
from blue_green.config.kinds import AcmeContact, Argv
from blue_green.config.process_settings import ProxySettings, StateSettings, TlsSettings
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import AppSettings, ServingSettings, SiteTlsSettings
from tests.raw.tls_client import write_pair
from tests.support.fake_issuer import FakeIssuer, make_pem

MAIL = AcmeContact("you@example.com")


def site(
    name: str, *hosts: str, moved: str = "", tls: SiteTlsSettings | None = None
) -> SiteSettings:
    serving = ServingSettings(
        hosts=tuple(map(HostPattern, hosts)),
        redirect_hosts=(ExactHost(moved),) if moved else (),
    )
    file = Path(f"/etc/{name}.toml")
    app = AppSettings(command=Argv(("app",)))
    return SiteSettings(
        name, file, Path("/state") / name, app, serving, tls=tls or SiteTlsSettings()
    )


def settings(directory: Path, *sites: SiteSettings, acme: AcmeContact = MAIL) -> Settings:
    return Settings(
        sites, False, ProxySettings(tls=TlsSettings(acme=acme)), state=StateSettings(directory)
    )


def hosts_of(certificates: Certificates, *sites: SiteSettings) -> list[str]:
    return [known.host for site in sites for known in certificates.of_site(site)]


def test_every_host_of_every_site_has_a_certificate_of_its_own(tmp_path: Path) -> None:
    blog = site("blog", "a.example", "b.example", moved="www.a.example")
    api = site("api", "a.example", "c.example")
    certificates = Certificates(settings(tmp_path, blog, api), issuer=FakeIssuer())
    assert set(certificates.table) == {"a.example", "b.example", "www.a.example", "c.example"}
    assert hosts_of(certificates, blog) == ["a.example", "b.example", "www.a.example"]
    assert hosts_of(certificates, api) == ["a.example", "c.example"]
    assert certificates.table.find("d.example") is None


def test_wildcards_are_not_ordered_from_a_public_authority_which_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blog = site("blog", "a.example", "*.a.example", "*")
    both = settings(tmp_path, blog)
    certificates = Certificates(both, issuer=FakeIssuer())
    certificates.use(both, {})
    assert list(certificates.table) == ["a.example"]
    assert caplog.messages == [
        "no certificate can be ordered for *, *.a.example: name each host in hosts, or give the "
        "site files of its own in [tls]"
    ]


def test_the_internal_authority_issues_certificates_with_wildcards_and_for_this_machine(
    tmp_path: Path,
) -> None:
    blog = site("blog", "*.a.example", "*")
    internal = settings(tmp_path, blog, acme=AcmeContact("internal"))
    certificates = Certificates(internal, issuer=FakeIssuer())
    assert list(certificates.table) == ["*.a.example", "localhost", "127.0.0.1", "[::1]"]
    assert hosts_of(certificates, blog) == list(certificates.table)


def test_a_notice_about_the_authority_is_shown_with_each_host(tmp_path: Path) -> None:
    blog = site("blog", "a.lan", "b.lan")
    internal = settings(tmp_path, blog, acme=AcmeContact("internal"))
    certificates = Certificates(internal, issuer=FakeIssuer(notice="install the new root"))
    notices = [known.notice for known in certificates.of_site(blog)]
    assert notices == 2 * ["install the new root"]


def test_nothing_is_ordered_for_a_site_with_files_of_its_own(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "b.example")
    own = SiteTlsSettings(pair.certificate, pair.key)
    both = settings(tmp_path, site("blog", "a.example"), site("shop", "b.example", tls=own))
    certificates = Certificates(both, issuer=FakeIssuer())
    assert hosts_of(certificates, both.sites[0]) == ["a.example"]
    assert "a.example" in set(certificates.table)


def test_a_reload_adds_and_removes_hosts(tmp_path: Path) -> None:
    before = settings(tmp_path, site("blog", "a.example", "b.example"))
    certificates = Certificates(before, issuer=FakeIssuer())
    certificates.use(evolve(before, sites=(site("blog", "b.example", "c.example"),)), {})
    assert set(certificates.table) == {"b.example", "c.example"}


def test_stored_certificates_are_used_from_the_start(tmp_path: Path) -> None:
    blog = site("blog", "localhost")
    internal = settings(tmp_path, blog, acme=AcmeContact("internal"))
    hosts = tmp_path / "certificates" / "internal" / "hosts"
    Certificates(internal)
    (hosts / "localhost.pem").write_text(make_pem("localhost"))
    [known] = Certificates(internal).of_site(blog)
    assert known.source == "internal"
    assert known.valid_until is not None


def test_one_pair_of_files_is_for_all_hosts(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "a.example")
    blog = site("blog", "a.example", moved="www.a.example")
    tls = TlsSettings(pair.certificate, pair.key)
    certificates = Certificates(Settings((blog,), proxy=ProxySettings(tls=tls)))
    assert hosts_of(certificates, blog) == ["a.example", "www.a.example"]
    assert {known.source for known in certificates.of_site(blog)} == {"files"}


def test_the_libraries_of_authorities_are_loaded_only_where_the_settings_name_one() -> None:
    program = """
import sys
from blue_green.supervisor import supervisor
from blue_green.certificates.certificates import load_libraries
from blue_green.config.process_settings import TlsSettings
loaded = lambda: [name for name in ("acme", "cryptography", "requests") if name in sys.modules]
for acme in (None, "internal", "you@example.com"):
    load_libraries(TlsSettings(acme=acme))
    print(*loaded())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "\ncryptography\nacme cryptography requests\n"
