"""`blue-green init` with hosts and a mail address: HTTPS from the first start."""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from blue_green.config.error import ConfigError
from blue_green.preflight.init import write as module
from blue_green.preflight.init.destination import CannotWrite
from blue_green.preflight.init.write import write
from blue_green.supervisor import settings_file
from tests.support.command import cli
from tests.support.repository import Repository
from tests.waiting import PATIENCE

MAIL = "you@example.com"
OPTIONS = ("--host", "blog.example.com", "--host", "www.example.com", "--acme", MAIL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    repository = Repository(tmp_path / "blog")
    (repository.path / "index.html").write_text("hello")
    repository.commit()
    return repository.path


def written(checkout: Path, **options: Any) -> dict[str, Any]:
    """The document that `init` writes with these options."""
    file = checkout / "supervisor.toml"
    write(file, checkout, lambda _: "", **options)
    return tomllib.loads(file.read_text())


def test_hosts_and_a_mail_address_are_all_that_https_needs(checkout: Path) -> None:
    done = cli(checkout, "init", "--yes", *OPTIONS)
    assert (done.code, done.err) == (0, "")
    assert "note: HTTPS for blog.example.com, www.example.com: " in done.out
    settings = settings_file.load(checkout / "supervisor.toml")
    assert settings.sites[0].serving.hosts == ("blog.example.com", "www.example.com")
    assert [str(end) for end in settings.proxy.listen] == ["[::]:443"]
    assert settings.proxy.tls is not None
    assert settings.proxy.tls.acme == MAIL
    assert [str(end) for end in settings.proxy.tls.redirecting] == ["[::]:80"]


def test_the_state_of_a_service_is_not_beside_its_settings(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "directory" not in written(checkout)["state"]
    monkeypatch.setattr(module, "ETC", checkout)
    for file in checkout.glob("*.toml"):
        file.unlink()
    assert written(checkout)["state"] == {"directory": "/var/lib/blue-green"}


def test_without_hosts_there_is_no_https(checkout: Path) -> None:
    document = written(checkout)
    assert "tls" not in document["proxy"]
    assert "hosts" not in document


def test_the_internal_authority_is_for_localhost_on_a_port_that_needs_no_root(
    checkout: Path,
) -> None:
    document = written(checkout, acme="internal")
    [listen] = document["proxy"]["listen"]
    assert (document["hosts"], document["proxy"]["tls"]) == (["localhost"], {"acme": "internal"})
    assert listen.startswith("127.0.0.1:8")


def test_the_internal_authority_serves_a_local_network_on_port_443(checkout: Path) -> None:
    document = written(checkout, acme="internal", hosts=["nas.lan"])
    assert document["proxy"]["listen"] == ["[::]:443"]


def test_a_mail_address_without_hosts_is_refused(checkout: Path) -> None:
    with pytest.raises(CannotWrite, match=r"--host blog\.example\.com"):
        written(checkout, acme=MAIL)


def test_a_host_that_no_public_authority_vouches_for_is_refused_and_nothing_is_left(
    checkout: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"blog\.localhost"):
        written(checkout, acme=MAIL, hosts=["blog.localhost"])
    assert not (checkout / "supervisor.toml").exists()


def test_a_new_file_for_several_sites_has_https_and_further_sites_do_not_repeat_it(
    checkout: Path, tmp_path: Path
) -> None:
    main = tmp_path / "supervisor.toml"
    write(main, checkout, lambda _: "", several=True, hosts=["blog.example.com"], acme=MAIL)
    assert tomllib.loads(main.read_text())["proxy"]["tls"] == {"acme": MAIL}
    other = Repository(tmp_path / "shop")
    (other.path / "index.html").write_text("hello")
    other.commit()
    with pytest.raises(CannotWrite, match="leave it out, since acme in"):
        write(main, other.path, lambda _: "", hosts=["shop.example.com"], acme=MAIL)
    write(main, other.path, lambda _: "", hosts=["shop.example.com"])
    assert len(settings_file.load(main).sites) == 2


def init(checkout: Path, stdin: int) -> str:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "blue_green", "init"],
        cwd=checkout,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout


def test_somebody_at_a_terminal_is_asked_for_hosts_and_mail_address(checkout: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"blog.example.com www.example.com\n{MAIL}\n".encode())
        said = init(checkout, theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.index("Which hosts does it have") < said.index("Your mail address")
    settings = settings_file.load(checkout / "supervisor.toml")
    assert settings.sites[0].serving.hosts == ("blog.example.com", "www.example.com")
    assert settings.proxy.tls is not None
    assert settings.proxy.tls.acme == MAIL


def test_a_program_that_keeps_standard_input_open_is_asked_nothing(checkout: Path) -> None:
    ours, theirs = os.pipe()
    try:
        assert "Which hosts" not in init(checkout, ours)
    finally:
        os.close(ours)
        os.close(theirs)
