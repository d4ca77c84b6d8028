"""The site of a directory is the one whose checkout contains it."""

from pathlib import Path

import pytest

from blue_green.config import parsing
from blue_green.site.site import Site
from blue_green.supervisor.find_site import in_directory
from blue_green.system import users


@pytest.fixture
async def sites(tmp_path: Path) -> list[Site]:
    """Of `blog`, and of `api` and `docs` in one checkout inside it."""
    places = {"blog": tmp_path, "api": tmp_path / "api", "docs": tmp_path / "api"}
    for checkout in places.values():
        (checkout / "deep" / "down").mkdir(parents=True, exist_ok=True)
    document = {
        "sites": {
            name: {
                "hosts": [f"{name}.localhost"],
                "app": {"command": ["serve"]},
                "git": {"checkout": str(checkout)},
            }
            for name, checkout in places.items()
        }
    }
    settings = parsing.parse(document, tmp_path / "supervisor.toml")
    us = users.owner_of(tmp_path)
    return [Site(of_site, owner=us, user=us) for of_site in settings.sites]


@pytest.mark.parametrize(
    ("directory", "names"),
    [
        (".", ["blog"]),
        ("deep/down", ["blog"]),
        ("apiary", ["blog"]),
        ("api", ["api", "docs"]),
        ("api/deep/../deep", ["api", "docs"]),
        ("..", []),
    ],
)
async def test_the_innermost_checkout_counts(
    tmp_path: Path, sites: list[Site], directory: str, names: list[str]
) -> None:
    found = in_directory(str(tmp_path / directory), sites)
    assert [site.name for site in found] == names


async def test_a_checkout_is_found_through_a_symbolic_link(
    tmp_path: Path, sites: list[Site]
) -> None:
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    found = in_directory(str(link / "deep"), sites)
    assert [site.name for site in found] == ["blog"]


@pytest.mark.parametrize("text", ["a\0b", "\ud800", ""])
async def test_what_cannot_be_a_path_is_in_no_checkout(sites: list[Site], text: str) -> None:
    assert in_directory(text, sites) == []
