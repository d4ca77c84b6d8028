"""A real authority, and a false one in front of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blue_green.certificates.challenges import Challenges
from blue_green.certificates.issuer import IssueFailed
from tests.certificates.acme_parts import AcmeScene, acme_scene
from tests.support.false_authority import FalseAuthority, false_authority


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeScene]:
    with acme_scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest.fixture
def authority(scene: AcmeScene, tmp_path: Path) -> Iterator[FalseAuthority]:
    with false_authority(tmp_path, scene.pebble) as authority:
        yield authority


@pytest.fixture
def issue(scene: AcmeScene, authority: FalseAuthority, tmp_path: Path) -> Callable[..., str]:
    """Gets a certificate by way of a false authority, with an account of this test."""

    def issue(**settings: Any) -> str:
        urls = {"directory": authority.url, "directory_root": authority.root}
        return scene.issuer(place=tmp_path, **{**urls, **settings}).issue("blog.example.com", 0)

    return issue


@pytest.fixture
def failure(scene: AcmeScene, issue: Callable[..., str]) -> Callable[..., IssueFailed]:
    """Why that fails."""

    def fail(**settings: Any) -> IssueFailed:
        with pytest.raises(IssueFailed) as failed:
            issue(**settings)
        assert scene.challenges == Challenges()
        assert str(failed.value).isprintable()
        assert len(str(failed.value)) < 1000
        return failed.value

    return fail
