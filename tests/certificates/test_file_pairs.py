"""Certificates in files: which host has which, and what a broken pair does to the others."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from blue_green.certificates import file_pairs, watched_pair
from blue_green.certificates.file_pairs import FilePairs
from blue_green.certificates.pem import BadCertificate
from blue_green.certificates.table import CertificateTable
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config.hosts import ExactHost, HostPattern
from blue_green.config.kinds import Argv
from blue_green.config.place import Place
from blue_green.config.process_settings import ProxySettings, TlsSettings
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import AppSettings, ServingSettings, SiteTlsSettings
from tests.raw.tls_client import PemPair, write_pair
from tests.waiting import until

APP = AppSettings(command=Argv(("app",)))


def pair(directory: Path, name: str) -> PemPair:
    """A pair in files of its own, for a host of this name."""
    (directory / name).mkdir(exist_ok=True)
    return write_pair(directory / name, name)


def site(name: str, *hosts: str, moved: str = "", files: PemPair | None = None) -> SiteSettings:
    """A site whose files are at `files`."""
    serving = ServingSettings(
        hosts=tuple(map(HostPattern, hosts)), redirect_hosts=(ExactHost(moved),) if moved else ()
    )
    tls = SiteTlsSettings(files.certificate, files.key) if files else SiteTlsSettings()
    file = Path(f"/etc/{name}.toml")
    return SiteSettings(name, file, Path("/state"), APP, serving, tls=tls, place=Place(file))


def settings(
    *sites: SiteSettings, of_process: PemPair | None = None, is_single: bool = False
) -> Settings:
    files = TlsSettings(of_process.certificate, of_process.key) if of_process else TlsSettings()
    return Settings(sites, is_single, ProxySettings(tls=files))


def loaded(*sites: SiteSettings) -> Mapping[str, WatchedPair | None]:
    """The pairs of these sites, as a reload loads them."""
    return {site.name: file_pairs.load(site, is_single=False) for site in sites}


def reload(pairs: FilePairs, new: Settings, *changed: SiteSettings) -> None:
    pairs.use(new, loaded(*changed))
    pairs.put()


def served(table: CertificateTable, name: str) -> str | None:
    """The first name in the certificate that a client of this host gets."""
    entry = table.find(name)
    return entry.loaded.names[0] if entry and entry.loaded else None


def test_a_site_with_files_of_its_own_has_them_for_all_its_hosts(tmp_path: Path) -> None:
    table = CertificateTable()
    shop = site("shop", "shop.example", "*.shop.example", moved="old.example",
                files=pair(tmp_path, "own"))  # fmt: skip
    FilePairs(settings(shop, site("blog", "blog.example")), table)
    for host in ("shop.example", "img.shop.example", "old.example"):
        assert served(table, host) == "own"
    assert table.find("blog.example") is None


def test_all_other_sites_have_the_pair_of_the_process(tmp_path: Path) -> None:
    table = CertificateTable()
    wild = site("wild", "*.example", files=pair(tmp_path, "own"))
    others = pair(tmp_path, "process")
    FilePairs(settings(wild, site("blog", "blog.example"), of_process=others), table)
    assert served(table, "blog.example") == served(table, "unknown.org") == "process"
    assert served(table, "shop.example") == "own"


def test_a_site_for_all_hosts_may_have_files_of_its_own(tmp_path: Path) -> None:
    table = CertificateTable()
    rest = site("rest", "*", files=pair(tmp_path, "own"))
    others = pair(tmp_path, "process")
    FilePairs(settings(rest, site("blog", "blog.example"), of_process=others), table)
    assert (served(table, "blog.example"), served(table, "other.org")) == ("process", "own")


def test_sites_that_share_a_host_share_its_files(tmp_path: Path) -> None:
    table = CertificateTable()
    api, shop = site("api", "a.example"), site("shop", "a.example", files=pair(tmp_path, "own"))
    pairs = FilePairs(settings(api, shop, of_process=pair(tmp_path, "process")), table)
    assert served(table, "a.example") == "own"
    known = pairs.of_host("a.example")
    assert known is not None and known.source == "files"


def test_a_broken_pair_of_one_of_several_sites_leaves_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = CertificateTable()
    broken = pair(tmp_path, "broken")
    broken.key.write_text("nonsense")
    shop = site("shop", "shop.example", files=broken)
    blog = site("blog", "blog.example", files=pair(tmp_path, "own"))
    pairs = FilePairs(settings(blog, shop), table)
    assert served(table, "blog.example") == "own"
    entry = table.find("shop.example")
    assert entry is not None and entry.loaded is None
    known = pairs.of_host("shop.example")
    assert known is not None and "has no private key in PEM" in known.problem
    assert "no certificate until the files are corrected: /etc/shop.toml: [tls] key" in caplog.text


def test_a_broken_pair_of_the_only_site_is_an_error(tmp_path: Path) -> None:
    broken = pair(tmp_path, "broken")
    broken.certificate.unlink()
    only = site("shop", "*", files=broken)
    with pytest.raises(BadCertificate, match=r"^\[tls\] certificate: .* cannot be read"):
        FilePairs(settings(only, is_single=True), CertificateTable())
    with pytest.raises(BadCertificate, match=r"^\[proxy.tls\] certificate: .* cannot be read"):
        FilePairs(settings(of_process=broken), CertificateTable())


def test_a_reload_adds_changes_and_removes_pairs(tmp_path: Path) -> None:
    table = CertificateTable()
    one, two = pair(tmp_path, "one"), pair(tmp_path, "two")
    blog, shop = site("blog", "blog.example", files=one), site("shop", "shop.example")
    pairs = FilePairs(settings(blog, shop), table)
    changed = evolve(blog, serving=ServingSettings(hosts=(HostPattern("new.example"),)))
    added = site("shop", "shop.example", files=two)
    reload(pairs, settings(changed, added), changed, added)
    assert set(table) == {"new.example", "shop.example"}
    assert (served(table, "new.example"), served(table, "shop.example")) == ("one", "two")
    reload(pairs, settings(changed, shop), shop)
    assert set(table) == {"new.example"}
    reload(pairs, settings(shop))
    assert set(table) == set()


def test_a_site_that_changes_keeps_its_sessions(tmp_path: Path) -> None:
    table = CertificateTable()
    blog = site("blog", "blog.example", files=pair(tmp_path, "one"))
    pairs = FilePairs(settings(blog), table)
    entry = table.find("blog.example")
    changed = site("blog", "blog.example", files=pair(tmp_path, "two"))
    reload(pairs, settings(changed), changed)
    assert table.find("blog.example") is entry
    assert served(table, "blog.example") == "two"


def test_a_site_that_has_not_changed_keeps_its_pair(tmp_path: Path) -> None:
    table = CertificateTable()
    files = pair(tmp_path, "own")
    blog = site("blog", "blog.example", files=files)
    pairs = FilePairs(settings(blog), table)
    files.key.unlink()
    wiki = site("wiki", "wiki.example")
    reload(pairs, settings(blog, wiki), wiki)
    assert served(table, "blog.example") == "own"


@asynccontextmanager
async def watching(pairs: FilePairs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(watched_pair, "LOOK_EVERY", 0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pairs.run)
        yield
        nursery.cancel_scope.cancel()


async def test_files_that_change_are_used_for_all_hosts_of_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CertificateTable()
    files = pair(tmp_path, "own")
    shop = site("shop", "a.example", "b.example", files=files)
    pairs = FilePairs(settings(shop), table)
    async with watching(pairs, monkeypatch):
        write_pair(files.key.parent, "renewed")
        await until("the new files", lambda: served(table, "a.example") == "renewed")
        assert served(table, "b.example") == "renewed"


async def test_a_broken_pair_is_used_once_it_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CertificateTable()
    files = pair(tmp_path, "own")
    files.key.unlink()
    pairs = FilePairs(settings(site("shop", "a.example", files=files)), table)
    async with watching(pairs, monkeypatch):
        write_pair(files.key.parent, "corrected", "a.example")
        await until("the corrected files", lambda: served(table, "a.example") == "corrected")
        known = pairs.of_host("a.example")
        assert known is not None and known.problem == "" and known.valid_until is not None


async def test_the_files_of_a_site_that_was_added_are_watched_and_of_one_removed_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CertificateTable()
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    before, after = site("old", "a.example", files=old), site("new", "b.example", files=new)
    pairs = FilePairs(settings(before), table)
    async with watching(pairs, monkeypatch):
        entry = table.find("a.example")
        reload(pairs, settings(after), after)
        write_pair(old.key.parent, "unseen")
        write_pair(new.key.parent, "renewed")
        await until("the new files", lambda: served(table, "b.example") == "renewed")
        assert entry is not None and entry.loaded is not None and entry.loaded.names == ["old"]


@pytest.mark.parametrize("host", ["a.example", "b.shop.example", "*.shop.example", "*"])
def test_a_host_that_the_certificate_is_for_has_no_problem(tmp_path: Path, host: str) -> None:
    files = write_pair(tmp_path, "a.example", "*.shop.example")
    known = FilePairs(settings(site("a", host, files=files)), CertificateTable()).of_host(host)
    assert known is not None
    assert (known.problem, known.valid_until is None) == ("", False)


def test_a_host_that_the_certificate_is_not_for_counts_as_one_without(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "a.example")
    pairs = FilePairs(
        settings(site("a", "a.example", "b.example", files=files)), CertificateTable()
    )
    known = pairs.of_host("b.example")
    assert known is not None
    assert known.valid_until is None
    assert known.problem.startswith(f"{files.certificate} is not for b.example, so browsers refuse")
