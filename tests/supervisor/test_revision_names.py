"""The branches and tags that completion offers."""

from pathlib import Path
from typing import Any

from blue_green.supervisor import revision_names
from blue_green.supervisor.no_arguments import NoArguments
from tests.support import site_parts
from tests.support.repository import Repository


async def ignore(_: dict[str, Any]) -> None:
    pass


async def test_they_are_those_of_the_checkout_the_newest_first_and_not_more_than_a_hundred(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "checkout")
    [site] = site_parts.make_single(tmp_path / "state", repository.path)
    repository.git("tag", "v1.4")
    repository.git("update-ref", "refs/remotes/origin/fix/it", "HEAD")
    found = await revision_names.revision_names(site, NoArguments(), ignore)
    assert sorted(found["names"]) == ["main", "origin/fix/it", "v1.4"]
    (repository.path / ".git" / "packed-refs").write_text(
        "".join(f"{repository.first} refs/tags/v{number}\n" for number in range(200))
    )
    found = await revision_names.revision_names(site, NoArguments(), ignore)
    assert len(found["names"]) == 100
