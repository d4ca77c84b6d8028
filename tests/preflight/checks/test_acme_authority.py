"""Whether the authority answers, and accepts the account in the settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blue_green.preflight.checks import acme_authority, acme_hosts
from blue_green.preflight.checks.acme_hosts import Lookup
from blue_green.preflight.checks.finding import Finding
from tests.support.check_context import CheckedSite
from tests.support.pebble import Pebble, needs_pebble, running_pebble
from tests.support.site import free_ports

pytestmark = needs_pebble


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    http, tls = free_ports(2)
    with running_pebble(tmp_path / "pebble", http_port=http, tls_port=tls) as pebble:
        yield pebble


def check(subject: CheckedSite, pebble: Pebble, **tls: Any) -> list[Finding]:
    """What is found about the authority, with these settings changed."""
    section = {
        "acme": "you@example.com", "redirect": [], "directory": pebble.url,
        "directory_root": str(pebble.server_root), **tls,
    }  # fmt: skip
    subject.sections = {"hosts": ["blog.example.com"], **subject.sections}
    found = subject.check(proxy={"tls": {k: v for k, v in section.items() if v is not None}})
    return [one for one in found if one.about.startswith("[proxy.tls]") and "port" not in one.text]


@pytest.fixture(autouse=True)
def dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme_hosts, "look_up", lambda _: Lookup(["127.0.0.1"]))


def test_an_authority_that_answers_passes(subject: CheckedSite, pebble: Pebble) -> None:
    [found] = check(subject, pebble)
    assert (found.verdict, found.text) == ("passed", f"{pebble.url} answers")


def test_an_authority_without_its_root_is_not_trusted(subject: CheckedSite, pebble: Pebble) -> None:
    [found] = check(subject, pebble, directory_root=None)
    assert found.verdict == "failed"
    assert "set directory_root in [proxy.tls]" in found.text


def test_a_profile_that_the_authority_does_not_have_is_reported(
    subject: CheckedSite, pebble: Pebble
) -> None:
    [found] = check(subject, pebble, profile="short")
    assert (found.verdict, found.about) == ("failed", "[proxy.tls] profile")
    assert found.text == f"{pebble.url} has no profile short; it has: none"


def test_an_authority_that_is_down_or_hangs_is_reported_in_bounded_time(
    subject: CheckedSite, pebble: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme_authority, "TIMEOUT", 0.5)
    with pebble.hanging():
        [found] = check(subject, pebble)
    assert found.verdict == "failed"
    assert "has not answered within 0.5 s" in found.text
    pebble.stop()
    [found] = check(subject, pebble)
    assert "cannot be reached: Connection refused" in found.text


def test_the_key_of_an_external_account_must_be_usable(
    subject: CheckedSite, pebble: Pebble, tmp_path: Path
) -> None:
    key = tmp_path / "eab.key"
    account = {"eab_kid": "kid-1", "eab_key_file": str(key)}
    [_, found] = check(subject, pebble, **account)
    assert (found.verdict, found.text) == (
        "failed", f"{key} cannot be read: No such file or directory"
    )  # fmt: skip
    key.write_text("c2VjcmV0\n")
    key.chmod(0o644)
    [_, found] = check(subject, pebble, **account)
    assert (found.verdict, found.advice) == ("warned", f"chmod o-r {key}")
    key.chmod(0o600)
    [_, found] = check(subject, pebble, **account)
    assert found.verdict == "passed"


def test_an_authority_that_requires_an_account_says_so_before_the_first_order(
    subject: CheckedSite, tmp_path: Path
) -> None:
    http, tls = free_ports(2)
    with running_pebble(
        tmp_path / "strict", http_port=http, tls_port=tls, accounts={"kid-1": "c2VjcmV0"}
    ) as pebble:
        [found] = check(subject, pebble)
    assert found.verdict == "failed"
    assert found.advice.startswith("set eab_kid and eab_key_file in [proxy.tls]")
