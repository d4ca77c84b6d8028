"""Whether two revisions differ at or below some paths."""

from pathlib import Path

import pytest

from blue_green.source.changed_paths import differ
from blue_green.source.git_errors import GitError
from tests.support.repository import Repository, git_of


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "checkout")
    for name in ("app/main.py", "docs/index.md", "odd*[1]/:(top) ü.txt"):
        file = repository.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("first")
    repository.commit()
    return repository


async def differs(repository: Repository, before: str, *paths: str) -> bool:
    after = repository.git("rev-parse", "HEAD")
    return await differ(git_of(repository.path), before, after, paths)


async def test_only_changes_at_or_below_the_paths_count(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    (repository.path / "app" / "main.py").write_text("second")
    repository.commit()
    assert await differs(repository, before, "docs", "app")
    assert await differs(repository, before, "app/main.py")
    assert await differs(repository, before, ".")
    for path in ("docs", "ap", "App", "app/main", "app/main.py/x", "nothing", "text.txt"):
        assert not await differs(repository, before, path), path


async def test_all_commits_between_the_two_count(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    (repository.path / "app" / "main.py").write_text("second")
    repository.commit()
    repository.commit(unrelated="1")
    assert await differs(repository, before, "app")
    repository.git("checkout", "-q", before, "--", "app")
    repository.commit()
    assert not await differs(repository, before, "app"), "it was changed and changed back"


async def test_deletions_renames_and_modes_count(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    repository.git("mv", "app/main.py", "docs/main.py")
    moved = repository.commit()
    assert await differs(repository, before, "app")
    assert await differs(repository, before, "docs")
    (repository.path / "docs" / "main.py").chmod(0o755)
    repository.commit()
    assert await differs(repository, moved, "docs")
    assert not await differs(repository, moved, "app")


async def test_paths_are_names_not_patterns(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    (repository.path / "odd*[1]" / ":(top) ü.txt").write_text("second")
    repository.commit()
    assert await differs(repository, before, "odd*[1]/:(top) ü.txt")
    for pattern in ("odd*", "odd*1]", ":(top)", ":/", "*"):
        assert not await differs(repository, before, pattern), pattern


async def test_a_submodule_counts_even_if_git_is_to_ignore_it(
    repository: Repository, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    allow = ("-c", "protocol.file.allow=always")
    repository.git(*allow, "submodule", "add", "-q", str(library.path), "libs/shared")
    before = repository.commit()
    library.commit(text="second")
    repository.git("-C", "libs/shared", "pull", "-q")
    repository.commit()
    repository.git("config", "submodule.libs/shared.ignore", "all")
    repository.git("config", "diff.ignoreSubmodules", "all")
    assert await differs(repository, before, "libs")
    assert not await differs(repository, before, "app")


async def test_an_unrelated_history_is_compared_like_any_other(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "--orphan", "new")
    repository.commit(unrelated="1")
    assert not await differs(repository, before, "app")
    assert await differs(repository, before, ".")


async def test_a_revision_that_git_does_not_have_is_an_error(repository: Repository) -> None:
    with pytest.raises(GitError, match="bad object"):
        await differs(repository, "0" * 39 + "1", "app")
