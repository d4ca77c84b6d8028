"""The account at a real authority: registered, kept, updated, lost, and bound to another."""

import errno
import json
import logging
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blue_green.certificates import account_file
from blue_green.certificates.issuer import IssueFailed
from blue_green.system import files
from tests.certificates.acme_parts import AcmeScene, acme_scene, names_in
from tests.support.pebble import needs_pebble

pytestmark = needs_pebble

HOST = "blog.example.com"
REGISTRATION = "POST /sign-me-up"
KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[AcmeScene]:
    with acme_scene(tmp_path) as scene:
        yield scene


def account(scene: AcmeScene) -> dict[str, str]:
    found: dict[str, str] = json.loads(scene.account_file.read_text())
    return found


def registrations(scene: AcmeScene) -> int:
    return scene.pebble.output.count(REGISTRATION)


def test_an_account_is_registered_once_and_used_after_a_restart(scene: AcmeScene) -> None:
    scene.issuer().issue(HOST, 0)
    before = scene.account_file.read_bytes()
    assert names_in(scene.issuer().issue(HOST, 0)) == [HOST]
    assert registrations(scene) == 1
    assert scene.account_file.read_bytes() == before


def test_only_we_can_read_the_account(scene: AcmeScene) -> None:
    scene.issuer().issue(HOST, 0)
    assert stat.S_IMODE(scene.account_file.stat().st_mode) == 0o600


def test_an_account_that_the_authority_has_lost_is_registered_again(scene: AcmeScene) -> None:
    issuer = scene.issuer()
    issuer.issue(HOST, 0)
    before = account(scene)
    scene.pebble.stop()
    scene.pebble.start()
    assert names_in(issuer.issue(HOST, 0)) == [HOST]
    after = account(scene)
    assert after["key"] == before["key"]
    assert after["url"] != before["url"]
    issuer.issue(HOST, 0)
    assert registrations(scene) == 2


def test_several_orders_at_once_register_a_lost_account_once(scene: AcmeScene) -> None:
    issuer = scene.issuer()
    issuer.issue(HOST, 0)
    scene.pebble.stop()
    scene.pebble.start()
    hosts = [f"{number}.example.com" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda host: issuer.issue(host, 0), hosts))
    assert [names_in(text) for text in texts] == [[host] for host in hosts]
    assert registrations(scene) == 2


def test_a_new_mail_address_updates_the_account(scene: AcmeScene) -> None:
    scene.issuer().issue(HOST, 0)
    before = account(scene)
    scene.issuer(acme="other@example.com").issue(HOST, 0)
    assert account(scene) == {**before, "contact": "mailto:other@example.com"}
    assert registrations(scene) == 1
    scene.issuer(acme="other@example.com").issue(HOST, 0)
    assert scene.pebble.output.count("POST /my-account/") == 1


def test_a_new_mail_address_for_a_lost_account_registers_it(scene: AcmeScene) -> None:
    scene.issuer().issue(HOST, 0)
    scene.pebble.stop()
    scene.pebble.start()
    scene.issuer(acme="other@example.com").issue(HOST, 0)
    assert account(scene)["contact"] == "mailto:other@example.com"


def test_a_mail_address_that_the_authority_refuses_later_is_only_logged(
    scene: AcmeScene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.issuer().issue(HOST, 0)
    text = scene.issuer(acme="no-domain@").issue(HOST, 0)
    assert names_in(text) == [HOST]
    assert "does not take the new mail address" in caplog.text


def test_a_mail_address_that_the_authority_refuses_is_explained(scene: AcmeScene) -> None:
    with pytest.raises(IssueFailed, match="refuses the mail address in acme"):
        scene.issuer(acme="a b@").issue(HOST, 0)


def test_an_account_that_cannot_be_written_is_used_and_logged(
    scene: AcmeScene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    issuer = scene.issuer()
    with monkeypatch.context() as patch:
        patch.setattr(files, "replace", full)
        issuer.issue(HOST, 0)
    assert "account.json cannot be written" in caplog.text
    assert "No space left on device" in caplog.text
    issuer.issue(HOST, 0)
    assert registrations(scene) == 1
    assert account(scene)["contact"] == "mailto:you@example.com"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b"[" * 50_000, b'{"key": 7}', b'{"key": "x", "url": "y"}'],
)
def test_an_invalid_account_is_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file = tmp_path / "account.json"
    file.write_bytes(content)
    assert account_file.load(file) is None
    assert (tmp_path / "account.invalid").read_bytes() == content
    assert "is invalid" in caplog.text


def test_an_account_that_cannot_be_read_is_explained(scene: AcmeScene) -> None:
    scene.account_file.mkdir(parents=True)
    with pytest.raises(IssueFailed, match="is not a regular file: remove it"):
        scene.issuer().issue(HOST, 0)
    assert registrations(scene) == 0


def test_the_key_is_never_logged(scene: AcmeScene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = scene.issuer().issue(HOST, 0)
    secrets = [account(scene)["key"], text.partition("-----BEGIN CERTIFICATE-----")[0]]
    for secret in secrets:
        assert secret.splitlines()[1] not in caplog.text


# --- external account binding ---


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[AcmeScene]:
    """An authority that wants an account of its own."""
    with acme_scene(tmp_path, accounts={"kid-1": KEY}) as scene:
        yield scene


@pytest.mark.parametrize("text", [KEY, KEY + "\n", f"  {KEY}==\n"])
def test_an_external_account_is_bound(bound: AcmeScene, tmp_path: Path, text: str) -> None:
    file = tmp_path / "eab"
    file.write_text(text)
    issuer = bound.issuer(eab_kid="kid-1", eab_key_file=file)
    assert names_in(issuer.issue(HOST, 0)) == [HOST]
    file.unlink()  # It is needed only once.
    assert names_in(bound.issuer(eab_kid="kid-1", eab_key_file=file).issue(HOST, 0)) == [HOST]


def test_another_external_account_gets_an_account_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "eab"
    file.write_text(KEY)
    with acme_scene(tmp_path, accounts={"kid-1": KEY, "kid-2": KEY}) as scene:
        accounts = []
        for kid in ("kid-1", "kid-2", None):  # Once bound, the settings may forget it.
            binding: dict[str, Any] = {"eab_kid": kid, "eab_key_file": file} if kid else {}
            assert names_in(scene.issuer(**binding).issue(HOST, 0)) == [HOST]
            accounts.append(json.loads(scene.account_file.read_text())["url"])
    assert accounts[0] != accounts[1] == accounts[2]


def test_a_missing_external_account_is_explained(bound: AcmeScene) -> None:
    with pytest.raises(IssueFailed, match="set eab_kid and eab_key_file in"):
        bound.issuer().issue(HOST, 0)


@pytest.mark.parametrize(("kid", "key"), [("kid-2", KEY), ("kid-1", "AAAA" + KEY[4:])])
def test_a_wrong_external_account_is_explained(
    bound: AcmeScene, tmp_path: Path, kid: str, key: str
) -> None:
    file = tmp_path / "eab"
    file.write_text(key)
    with pytest.raises(IssueFailed, match="eab_kid and eab_key_file"):
        bound.issuer(eab_kid=kid, eab_key_file=file).issue(HOST, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file"),
        ("", "must have the key in base64url"),
        ("key = abc", "must have the key in base64url"),
        ("a+b/", "must have the key in base64url"),
        ("a" * 5000, "is larger than 4096 bytes"),
    ],
)
def test_a_file_that_is_no_external_key_is_explained(
    bound: AcmeScene, tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "eab"
    if content is not None:
        file.write_text(content)
    with pytest.raises(IssueFailed) as failed:
        bound.issuer(eab_kid="kid-1", eab_key_file=file).issue(HOST, 0)
    assert str(failed.value).startswith(f"eab_key_file: {file} {why}")
