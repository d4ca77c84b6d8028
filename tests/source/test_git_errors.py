"""A remote that cannot be pulled from is logged once, in one line, with a remedy."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from attrs import define

from blue_green.source import git_errors
from blue_green.source.git_errors import GitError
from tests.support import ssh_server
from tests.support.app_checkout import git
from tests.support.following import following
from tests.support.repository import Repository, git_of
from tests.support.site import RealSite
from tests.waiting import until

LONGEST = 300
"""Characters of a line that can still be called one."""
ASKS = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "upstream")


@pytest.fixture
def checkout(repository: Repository, tmp_path: Path) -> Repository:
    """A clone whose `main` follows that of `repository`."""
    return repository.clone(tmp_path / "checkout")


@define
class StubServer:
    """One that gives the same answer to everything, or none to anything."""

    answer: bytes = b""
    port: int = 0
    clients: int = 0

    async def start(self, nursery: trio.Nursery) -> "StubServer":
        listeners = await nursery.start(trio.serve_tcp, self._handle, 0)
        self.port = listeners[0].socket.getsockname()[1]
        return self

    async def _handle(self, stream: trio.SocketStream) -> None:
        self.clients += 1
        with suppress(trio.BrokenResourceError):  # git may go without a word.
            while await stream.receive_some():
                await stream.send_all(self.answer)


async def test_each_problem_is_logged_once_until_another_one_occurs(
    repository: Repository,
    checkout: Repository,
    tmp_path: Path,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "blue_green.source.watch")
    asking = await StubServer(ASKS).start(nursery)
    trace = tmp_path / "trace"

    def moved_to(url: str) -> None:
        checkout.git("remote", "set-url", "origin", url)

    def is_in_conflict_with_changes_here() -> None:
        (checkout.path / "text.txt").write_text("edited here")
        repository.commit(text="theirs")
        moved_to(str(repository.path))

    def lost_its_branch() -> None:
        repository.git("branch", "-q", "-m", "main", "trunk")

    def was_force_pushed() -> None:
        repository.git("reset", "-q", "--hard", repository.first)
        repository.git("commit", "-q", "--amend", "-m", "rewritten")
        repository.git("branch", "-q", "-m", "trunk", "main")

    events: list[tuple[Callable[[], None], str]] = [
        (
            lambda: moved_to(f"http://127.0.0.1:{asking.port}/x"),
            "the remote asks for a password: ",
        ),
        (is_in_conflict_with_changes_here, "text.txt; Please commit your changes or stash them"),
        (lost_its_branch, "it was deleted or renamed there: git branch --set-upstream-to origin/"),
        (was_force_pushed, "main and its upstream have diverged: git rebase, or git reset --hard"),
    ]
    seen = []
    traced = git_of(checkout.path, GIT_TRACE=str(trace))
    async with following(checkout.path, pull_every=0.01, git=traced) as it:
        for event, said in events:
            event()
            await until(said, lambda said=said: said in it.watch.problem)
            pulls = trace.read_text().count("built-in: git fetch")
            await until(
                "two more pulls",
                lambda p=pulls: trace.read_text().count("built-in: git fetch") >= p + 2,
            )
            seen.append(it.watch.problem)
            assert said in seen[-1]
        assert it.told == []
        checkout.git("reset", "-q", "--hard", "origin/main")
        await until("it can pull again", lambda: not it.watch.problem)
    told = [record.getMessage() for record in caplog.records]
    assert told == [*seen, f"can pull again: {checkout.path}"]
    assert all("\n" not in line and len(line) < LONGEST for line in told)


NO_SSH = ssh_server.why_not()


@pytest.mark.skipif(bool(NO_SSH), reason=NO_SSH)
async def test_a_pull_over_ssh_needs_the_remotes_key_and_never_prompts(
    repository: Repository, checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    second = repository.commit(text="second")
    async with ssh_server.ssh_server(tmp_path / "ssh") as server:
        checkout.git("remote", "set-url", "origin", server.url(repository.path))

        async def pull(key: str = "user-key") -> str:
            checkout.git("config", "core.sshCommand", server.command(key))
            try:
                return await git_of(checkout.path).pull("main")
            except GitError as error:
                return str(error)

        unknown = "git fetch: Host key verification failed: as the checkout's owner, check the "
        assert (await pull()).startswith(unknown)
        server.make_known("other-key")
        assert "has changed and you have requested strict checking: if it is " in await pull()
        assert checkout.git("rev-parse", "HEAD") == checkout.first
        server.make_known()
        assert "Permission denied (publickey): give the checkout's " in await pull("other-key")
        assert await pull() == second


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ([], ""),
        (["", "fatal: nobody knows", "  why  "], "fatal: nobody knows; why"),
        (["fatal: Authentication failed for 'x'"], "fatal: Authentication failed for 'x': the re"),
        (["@@@", "Host key for x has changed and you have requested strict checking.",
          "Host key verification failed."], "Host key for x has changed and you have requested "),
    ],
    ids=["nothing", "unknown", "known", "the line that tells most"],
)  # fmt: skip
def test_only_the_informative_line_of_known_git_errors_is_kept(
    output: list[str], line: str
) -> None:
    assert git_errors.in_one_line(output).startswith(line)
    assert "@@@" not in git_errors.in_one_line(output)


async def test_a_hanging_remote_does_not_affect_serving(
    make_site: Callable[..., RealSite], tmp_path: Path, nursery: trio.Nursery
) -> None:
    site = make_site(git={"pull_every": "50ms", "fetch_timeout": "500ms"})
    one = site.commit("one")
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "-q", str(site.checkout), str(theirs))
    hanging = await StubServer().start(nursery)
    git(site.checkout, "remote", "add", "origin", f"git://127.0.0.1:{hanging.port}/x")
    for key, value in (("remote", "origin"), ("merge", "refs/heads/main")):
        git(site.checkout, "config", f"branch.main.{key}", value)
    async with site.running(), site.steady_load():
        problem = "cannot pull: git fetch took more than 0.5 s: does the remote answer?"
        await until("it is asked again", lambda: hanging.clients == 2)
        await site.until_logged(problem)
        assert site.log().count("cannot pull") == 1
        before = await site.status()
        assert before["problem"].startswith(problem)
        assert (before["phase"], before["live"]["revision"]) == ("serving", one)

        (theirs / "text.txt").write_text("two")
        git(theirs, "commit", "-q", "-a", "-m", "two")
        git(site.checkout, "remote", "set-url", "origin", str(theirs))
        status = await site.until_live(git(theirs, "rev-parse", "HEAD"))
        await site.until_logged("can pull again")
        assert (status["last_swap"]["outcome"], status["quarantined"]) == ("promoted", {})
