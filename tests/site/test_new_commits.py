"""Only commits that change something in `[git] paths` are deployed by themselves."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blue_green.site.new_commits import NewCommits
from blue_green.site.pushes import Pushes
from blue_green.site.site import Site
from tests.support.app_checkout import git
from tests.support.repository import Repository, git_of
from tests.support.site import RealSite
from tests.support.swaps import outcomes
from tests.waiting import until

MakeSite = Callable[..., RealSite]


def with_paths(make_site: MakeSite, *paths: str, **sections: Any) -> RealSite:
    site = make_site(git={"paths": list(paths or ["app.py", "behaviour.json"])}, **sections)
    (site.checkout / "docs").mkdir()
    return site


def commit_docs(site: RealSite, text: str) -> str:
    """Commit a change that the app's paths do not have."""
    git(site.checkout, "commit", "-q", "--allow-empty", "-m", "nothing")
    (site.checkout / "docs" / "index.md").write_text(text)
    git(site.checkout, "add", "-A")
    git(site.checkout, "commit", "-q", "-m", text)
    return site.head()


async def until_passed_over(site: RealSite, revision: str) -> dict[str, Any]:
    """Wait until this is HEAD and nothing is deployed; the status."""
    await until("it is logged", lambda: f"HEAD is {revision[:7]} now, which is not" in site.log())
    status = await site.status()
    assert (status["head"], status["swap"]) == (revision, None)
    return status


@pytest.mark.long
async def test_a_commit_elsewhere_is_passed_over_until_one_changes_the_app(
    make_site: MakeSite,
) -> None:
    site = with_paths(make_site)
    first = site.commit("one")
    async with site.running():
        docs = commit_docs(site, "documentation")
        status = await until_passed_over(site, docs)
        assert status["live"]["revision"] == first
        since = f"it changes nothing in app.py, behaviour.json since {first[:7]}"
        assert status["why"] == f"{since}, which is live"
        shown = (await site.cli("status")).out
        assert f"{docs[:7]}  documentation" in shown
        assert since in shown.replace("\n" + " " * 14, " ")
        second = site.commit("two", start_delay=0)
        await site.until_live(second)
        assert (await site.status())["why"] == ""
        both = [("promoted", first), ("promoted", second)]
        await until("both are remembered", lambda: outcomes(site) == both)


@pytest.mark.long
async def test_a_swap_by_hand_deploys_head_whatever_it_changed(make_site: MakeSite) -> None:
    site = with_paths(make_site)
    site.commit("one")
    async with site.running():
        docs = commit_docs(site, "documentation")
        await until_passed_over(site, docs)
        assert (await site.cli("swap")).code == 0
        await site.until_live(docs)
        assert (await site.status())["why"] == ""


@pytest.mark.long
async def test_a_restart_passes_the_same_commit_over_again(make_site: MakeSite) -> None:
    site = with_paths(make_site)
    first = site.commit("one")
    async with site.running():
        docs = commit_docs(site, "documentation")
        await until_passed_over(site, docs)
    site.log_file.unlink()
    async with site.running():
        status = await until_passed_over(site, docs)
        assert status["live"]["revision"] == first


@pytest.mark.long
async def test_new_paths_are_applied_to_a_commit_that_was_passed_over(
    make_site: MakeSite,
) -> None:
    site = with_paths(make_site)
    site.commit("one")
    async with site.running():
        docs = commit_docs(site, "documentation")
        await until_passed_over(site, docs)
        site.configure(git={"paths": ["app.py", "docs"]})
        assert "[git] paths" in (await site.cli("reload")).out
        await site.until_live(docs)


@pytest.mark.long
async def test_a_commit_elsewhere_does_not_deploy_code_again_that_has_failed(
    make_site: MakeSite,
) -> None:
    site = with_paths(make_site)
    first = site.commit("one")
    async with site.running():
        broken = site.commit("broken", raises="broken")
        await until("it failed", lambda: outcomes(site)[-1:] == [("failed", broken)])
        docs = commit_docs(site, "documentation")
        status = await until_passed_over(site, docs)
        assert status["live"]["revision"] == first
        assert f"since {broken[:7]}, which is not live: it is in quarantine" in status["why"]
        reverted = site.commit("one")
        status = await until_passed_over(site, reverted)
        assert f"since {first[:7]}, which is live" in status["why"]
        assert len(outcomes(site)) == 2


@pytest.mark.long
async def test_a_commit_elsewhere_does_not_deploy_code_again_that_was_rolled_back(
    make_site: MakeSite,
) -> None:
    site = with_paths(make_site)
    first = site.commit("one")
    async with site.running():
        second = site.commit("two", answer="two")
        await site.until_live(second)
        assert (await site.cli("rollback")).code == 0
        docs = commit_docs(site, "documentation")
        status = await until_passed_over(site, docs)
        assert status["live"]["revision"] == first
        assert f"since {second[:7]}, which is not live: it was rolled back" in status["why"]


HELD = ["sh", "-c", "while [ -e ../../../held ]; do sleep 0.02; done"]
"""A build that takes as long as there is this file beside the checkout."""


async def commit_that_builds(site: RealSite) -> tuple[str, Path]:
    """Commit a revision, and wait until it is `HELD` in its build; the file that holds it, too."""
    barrier = site.directory / "held"
    barrier.touch()
    revision = site.commit("two", answer="two")
    await until("it builds", lambda: f"swap {revision[:7]}: triggered" in site.log())
    return revision, barrier


@pytest.mark.long
async def test_a_commit_elsewhere_does_not_cancel_a_swap(make_site: MakeSite) -> None:
    site = with_paths(make_site, release={"build": HELD})
    site.commit("one")
    async with site.running():
        second, barrier = await commit_that_builds(site)
        docs = commit_docs(site, "documentation")
        await until("it is logged", lambda: f"HEAD is {docs[:7]} now" in site.log())
        barrier.unlink()
        status = await site.until_live(second)
        assert status["why"].endswith(f"since {second[:7]}, which is live")
        assert "superseded" not in [outcome for outcome, _ in outcomes(site)]


@pytest.mark.long
async def test_a_revert_of_what_is_being_deployed_is_deployed(make_site: MakeSite) -> None:
    site = with_paths(make_site, release={"build": HELD})
    site.commit("one")
    async with site.running():
        second, barrier = await commit_that_builds(site)
        reverted = site.commit("one")
        await until("it is next", lambda: ("superseded", second) in outcomes(site))
        barrier.unlink()
        await site.until_live(reverted)


# --- without a supervisor -------------------------------------------------------------------


class SomeSite:
    """What a site is to its new commits; `requested` are the swaps that they requested."""

    def __init__(self, repository: Repository, *, live: str | None, head: str | None) -> None:
        self.requested: list[str] = []
        self.noted: list[str] = []
        self.git = git_of(repository.path)
        self.settings = SimpleNamespace(git=SimpleNamespace(paths=("text.txt",)))
        self.pushes = Pushes()
        self.slots = SimpleNamespace(live_revision=live)
        self.queue = SimpleNamespace(
            head=head,
            desired=live,
            request=lambda head, _: self.requested.append(head),
            note_head=self.noted.append,
        )
        self.new_commits = NewCommits(cast(Site, self))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "checkout")


async def test_a_commit_elsewhere_is_passed_over_with_its_subject(repository: Repository) -> None:
    site = SomeSite(repository, live=repository.first, head=None)
    docs = repository.commit(docs="more")
    await site.new_commits.deploy(docs)
    assert site.requested == []
    assert (site.new_commits.head, site.queue.head) == (docs, None)
    found = site.new_commits.passed_over
    assert found is not None
    assert (found.revision, found.since, found.subject) == (docs, repository.first, "a commit")


async def test_a_commit_is_deployed_if_nothing_is_live(repository: Repository) -> None:
    site = SomeSite(repository, live=None, head=repository.first)
    docs = repository.commit(docs="more")
    await site.new_commits.deploy(docs)
    assert site.requested == [docs]


async def test_a_commit_is_deployed_if_git_no_longer_has_the_one_before(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    site = SomeSite(repository, live="0" * 39 + "1", head=None)
    docs = repository.commit(docs="more")
    await site.new_commits.deploy(docs)
    assert site.requested == [docs]
    assert f"cannot compare {docs[:7]} with 0000000" in caplog.text


async def test_the_same_head_again_is_not_deployed_again(repository: Repository) -> None:
    """It has failed or was rolled back since: another commit is live."""
    second = repository.commit(text="second")
    site = SomeSite(repository, live=repository.first, head=second)
    await site.new_commits.deploy(repository.commit(docs="more"))
    await site.new_commits.deploy(second)
    assert (site.requested, site.new_commits.passed_over) == ([], None)


async def test_the_head_of_a_push_is_not_deployed_again(repository: Repository) -> None:
    site = SomeSite(repository, live=repository.first, head=None)
    second = repository.commit(text="second")
    site.pushes.deployed(second)
    await site.new_commits.deploy(second)
    assert (site.requested, site.noted) == ([], [second])
    await site.new_commits.deploy(second)
    assert site.requested == [second], "it has moved there once more"


async def test_without_paths_every_commit_is_deployed(repository: Repository) -> None:
    site = SomeSite(repository, live=repository.first, head=None)
    site.settings.git.paths = ()
    await site.new_commits.deploy(repository.first)
    assert site.requested == [repository.first]
