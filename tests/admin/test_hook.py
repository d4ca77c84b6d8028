"""The push hook: a signed request starts a pull, and any other request does nothing."""

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from blue_green.admin.hook import is_signed
from blue_green.admin.request_body import Message
from blue_green.admin.routes import AdminPages
from blue_green.admin.server import BodyRoute
from blue_green.config.kinds import UrlPath
from blue_green.config.parsing import parse
from blue_green.config.site_settings import WebhookSettings
from blue_green.supervisor import startup
from tests.support.app_checkout import git
from tests.support.http_client import HttpClient
from tests.support.repository import Repository
from tests.support.site import RealSite, free_ports
from tests.support.site_parts import add, make_several, make_single, named, remove

MakeSite = Callable[..., RealSite]

SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's documentation, with the two values above."""


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    file.chmod(0o640)
    return file


def webhook(secret_file: Path) -> dict[str, Any]:
    """Settings with a webhook."""
    listen = {"listen": ["127.0.0.1:8001"]}
    return {"admin": listen, "webhook": {"secret_file": str(secret_file)}}


def signed(body: bytes, secret: bytes = SECRET) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("field", "value", "is_right"),
    [
        pytest.param(b"x-hub-signature-256", b"sha256=" + SIGNATURE, True, id="GitHub"),
        pytest.param(b"x-gitea-signature", SIGNATURE, True, id="Gitea"),
        pytest.param(b"x-gogs-signature", SIGNATURE, True, id="Gogs"),
        pytest.param(b"x-gitlab-token", SECRET, True, id="GitLab"),
        pytest.param(b"x-hub-signature-256", SIGNATURE, False, id="without its name"),
        pytest.param(b"x-hub-signature-256", b"sha256=" + SIGNATURE[:-1], False, id="too short"),
        pytest.param(b"x-hub-signature-256", b"sha256=", False, id="empty"),
        pytest.param(b"x-hub-signature", b"sha1=" + SIGNATURE, False, id="the old one"),
        pytest.param(b"x-gitea-signature", b"\xff" * 64, False, id="not ASCII"),
        pytest.param(b"x-gitlab-token", SIGNATURE, False, id="the signature as token"),
        pytest.param(b"x-gitlab-token", b"", False, id="an empty token"),
        pytest.param(b"x-event", SECRET, False, id="nothing of it"),
    ],
)
def test_only_a_message_with_a_valid_signature_counts_as_signed(
    secret_file: Path, field: bytes, value: bytes, is_right: bool
) -> None:
    assert is_signed(Message([(field, value)], BODY), secret_file) is is_right
    assert not is_signed(Message([(field, value)], BODY + b"!"), secret_file) or b"gitlab" in field


async def call(pages: AdminPages, path: str, message: Message) -> int:
    """The status of a call; 404 if there is no such webhook."""
    methods = pages.find_hook(path)
    if methods is None:
        return 404
    route = methods["POST"]
    assert isinstance(route, BodyRoute)
    return (await route.respond(message)).status


async def test_a_changed_secret_takes_effect_at_once(tmp_path: Path, secret_file: Path) -> None:
    sites = make_single(tmp_path, tmp_path, **webhook(secret_file))
    pages = AdminPages(sites)
    old = Message([(b"x-gitlab-token", SECRET)], b"")
    assert await call(pages, "/hook", old) == 202
    secret_file.write_text("another secret of sufficient length")
    assert await call(pages, "/hook", old) == 403
    secret_file.unlink()
    assert await call(pages, "/hook", old) == 503


async def test_each_site_has_a_webhook_of_its_own_that_comes_and_goes_with_it(
    tmp_path: Path, secret_file: Path
) -> None:
    sites = make_several(tmp_path, tmp_path, ["blog", "shop"], **webhook(secret_file))
    blog, shop = sites
    pages = AdminPages(sites)
    of_shop = tmp_path / "another"
    of_shop.write_text("another secret of sufficient length")
    of_shop.chmod(0o600)
    shop.settings = attrs.evolve(shop.settings, webhook=WebhookSettings(UrlPath("/push"), of_shop))
    push = Message([(b"x-gitlab-token", SECRET)], b"")
    seen = [await call(pages, path, push) for path in ("/hook/blog", "/push", "/hook/shop")]
    assert seen == [202, 403, 404]

    remove(sites, blog)
    add(sites, named(blog.settings, "wiki"), tmp_path)
    assert await call(pages, "/hook/blog", push) == 404
    assert await call(pages, "/hook/wiki", push) == 202
    sites.stop()
    assert await call(pages, "/hook/wiki", push) == 503


async def test_a_site_without_a_secret_has_no_webhook(tmp_path: Path) -> None:
    pages = AdminPages(make_several(tmp_path, tmp_path, ["blog"]))
    assert await call(pages, "/hook/blog", Message([], b"")) == 404


async def test_wrong_signatures_do_not_fill_the_log(
    tmp_path: Path,
    secret_file: Path,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    pages = AdminPages(make_several(tmp_path, tmp_path, ["blog", "shop"], **webhook(secret_file)))
    for _ in range(20):
        assert await call(pages, "/hook/blog", Message([], b"")) == 403
    assert await call(pages, "/hook/shop", Message([], b"")) == 403
    await trio.sleep(61)
    await call(pages, "/hook/blog", Message([], b""))
    one, of_shop, others = caplog.messages
    assert one.startswith("1 webhook call refused: no signature")
    assert of_shop.startswith("1 webhook call refused: no signature")
    assert others.startswith("20 webhook calls refused")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "cannot be read: No such file"),
        ("short", 0o600, "has 5 bytes, but a secret needs 16 to 4096: openssl rand -hex 32 >"),
        ("a secret of sufficient length", 0o644, "all users can read it: chmod o-r "),
        ("a secret of sufficient length", 0o640, ""),
    ],
)
def test_a_bad_secret_file_stops_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, mode: int, said: str
) -> None:
    document = {
        "app": {"command": ["x"], "ports": [1, 2]},
        "admin": {"listen": ["127.0.0.1:8001"]},
        "webhook": {"secret_file": "secret"},  # Relative to the file.
    }
    settings = parse(document, tmp_path / "supervisor.toml")
    if content is not None:
        (tmp_path / "secret").write_text(content)
        (tmp_path / "secret").chmod(mode)
    try:
        startup.check_secret(settings.sites[0])
    except startup.CannotRun as error:
        assert said in str(error)
    else:
        assert "".join(caplog.messages).count(said or "nothing is said") == (1 if said else 0)


async def test_a_push_goes_live_soon_also_when_its_hook_was_lost(
    make_site: MakeSite, secret_file: Path
) -> None:
    [port] = free_ports(1)
    site = make_site(
        admin={"listen": [f"127.0.0.1:{port}"]}, webhook={"secret_file": str(secret_file)}
    )
    site.commit("one")
    bare = site.directory / "bare.git"
    git(site.directory, "clone", "-q", "--bare", str(site.checkout), str(bare))
    git(site.checkout, "remote", "add", "origin", str(bare))
    git(site.checkout, "fetch", "-q")
    git(site.checkout, "branch", "-q", "-u", "origin/main")
    developer = Repository.clone_of(bare, site.directory / "developer")

    missed = developer.commit(text="missed")
    developer.git("push", "-q")
    async with site.running(), HttpClient(port) as forge:
        await site.until_live(missed)
        pushed = developer.commit(text="pushed")
        developer.git("push", "-q")
        body = b'{"ref": "refs/heads/main"}' * 10_000
        answer = await forge.post("/hook", body, X_Hub_Signature_256="sha256=" + "0" * 64)
        assert (answer.status, answer.body) == (403, b"Forbidden.\n")
        signature = f"sha256={signed(body)}"
        answer = await forge.post("/hook", body, X_Hub_Signature_256=signature)
        assert (answer.status, forge.connections) == (202, 1)
        await site.until_live(pushed)
        assert (await forge.get("/hook")).status == 405
        assert (await forge.post("/hook", b"x" * (1024 * 1024 + 1))).status == 413


async def test_a_reload_adds_and_removes_a_webhook(make_site: MakeSite, secret_file: Path) -> None:
    [port] = free_ports(1)
    site = make_site(admin={"listen": [f"127.0.0.1:{port}"]})
    site.commit("one")
    body = b"{}"
    signature = f"sha256={signed(body)}"
    async with site.running(), HttpClient(port) as forge:

        async def status() -> int:
            return (await forge.post("/hook", body, X_Hub_Signature_256=signature)).status

        assert await status() == 404
        site.configure(webhook={"secret_file": str(secret_file)})
        await site.ask("reload")
        assert await status() == 202
        del site.sections["webhook"]
        site.configure()
        await site.ask("reload")
        assert await status() == 404
