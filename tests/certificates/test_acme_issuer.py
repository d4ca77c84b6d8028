"""Certificates from pebble, a real ACME server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blue_green.certificates import pem
from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issuer import IssueFailed
from tests.certificates.acme_parts import AcmeScene, acme_scene, handshake, names_in
from tests.support.pebble import needs_pebble

pytestmark = needs_pebble

HOST = "blog.example.com"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[AcmeScene]:
    with acme_scene(tmp_path) as scene:
        yield scene


@pytest.mark.parametrize("can_http", [True, False], ids=["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "[::1]"])
def test_a_host_gets_a_certificate_by_each_kind_of_challenge(
    scene: AcmeScene, host: str, can_http: bool
) -> None:
    text = scene.issuer(can_http=can_http).issue(host, 0)
    assert names_in(text) == [host.strip("[]")]
    assert pem.load_text(text, scene.directory).is_quick
    assert set(scene.server.answered) == {"http-01" if can_http else "tls-alpn-01"}
    assert scene.challenges == Challenges()  # Nothing is left behind.


def test_a_client_that_trusts_the_root_accepts_the_chain(scene: AcmeScene) -> None:
    text = scene.issuer().issue(HOST, 0)
    context = pem.load_text(text, scene.directory).contexts.offering(pem.HTTP1)
    handshake(context, scene.pebble.client_context(), HOST)


def test_attempts_use_both_kinds_of_challenge_in_turn(scene: AcmeScene) -> None:
    issuer = scene.issuer()
    for attempt in range(3):
        scene.server.answered.clear()
        issuer.issue(HOST, attempt)
        assert set(scene.server.answered) == {("http-01", "tls-alpn-01")[attempt % 2]}


def test_each_certificate_has_a_new_key(scene: AcmeScene) -> None:
    issuer = scene.issuer()
    keys = {issuer.issue(HOST, 0).partition("-----BEGIN CERTIFICATE-----")[0] for _ in range(2)}
    assert len(keys) == 2


def test_several_threads_get_certificates_at_once_with_one_account(scene: AcmeScene) -> None:
    issuer = scene.issuer()
    hosts = [f"{number}.example.com" for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda host: issuer.issue(host, 0), hosts))
    assert [names_in(text) for text in texts] == [[host] for host in hosts]
    assert scene.pebble.output.count("POST /sign-me-up") == 1


def test_half_of_the_nonces_may_be_refused(tmp_path: Path) -> None:
    with acme_scene(tmp_path, nonces_refused=50) as scene:
        assert names_in(scene.issuer().issue(HOST, 0)) == [HOST]


def test_an_authorization_that_is_still_valid_is_used_again(tmp_path: Path) -> None:
    with acme_scene(tmp_path, authorizations_reused=100) as scene:
        issuer = scene.issuer()
        issuer.issue(HOST, 0)
        scene.server.answered.clear()
        assert names_in(issuer.issue(HOST, 0)) == [HOST]
        assert scene.server.answered == []


def test_a_wildcard_is_refused_without_asking_the_authority(scene: AcmeScene) -> None:
    with pytest.raises(IssueFailed, match="needs a DNS challenge"):
        scene.issuer().issue("*.example.com", 0)
    assert "GET /dir" not in scene.pebble.output
