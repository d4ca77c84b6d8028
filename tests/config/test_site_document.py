"""The names of sites, and where their settings are written."""

import re
from pathlib import Path

import pytest

from tests.support.settings import load, problems, problems_of_sites, site


@pytest.mark.parametrize("name", ["blog", "Blog2", "blog.example.com", "a-b_c", "0", "x" * 63])
def test_a_name_that_can_be_a_directory_is_allowed(file: Path, name: str) -> None:
    text = f'[sites."{name}"]\nhosts = ["x.org"]\n[sites."{name}".app]\n'
    [only] = load(file, start=f'{text}command = ["x"]\nports = [1, 2]\n').sites
    assert only.name == name
    assert only.state_directory == file.parent / ".blue-green" / "sites" / name


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a/b", "a b", "ä", "x" * 64, "a\\n"])
def test_any_other_name_is_an_error(file: Path, name: str) -> None:
    text = f'[sites."{name}"]\nhosts = ["x.org"]\n[sites."{name}".app]\n'
    [problem] = problems(file, start=f'{text}command = ["x"]\nports = [1, 2]\n')
    assert "is not a name for a site: use at most 63 letters" in problem


def test_two_sites_with_one_name_are_an_error_with_both_places(file: Path) -> None:
    table = '[sites.blog]\nhosts = ["x.org"]\n[sites.blog.app]\ncommand = ["x"]\nports = [1, 2]\n'
    assert problems_of_sites(file, table, blog=site(3000, "blog.example.com")) == [
        "sites/blog.toml: there is already a site with this name: supervisor.toml: [sites.blog]; "
        "rename one"
    ]


def test_names_that_differ_only_in_case_are_an_error(file: Path) -> None:
    found = problems_of_sites(file, Blog=site(3000, "a.org"), blog=site(3002, "b.org"))
    assert found == [
        "sites/blog.toml: there is already a site whose name differs in case only: "
        "sites/Blog.toml; rename one"
    ]


@pytest.mark.parametrize(
    "include", ['"sites/*.toml"', "[3]", '[""]', "true", "{}", '["*/a"]', '["a\\u0000"]']
)
def test_include_that_is_no_list_of_patterns_is_an_error(file: Path, include: str) -> None:
    [problem] = problems(file, start=f"include = {include}")
    assert re.match('include: (must|"[*]/a" may have wildcards only)', problem)


def test_there_may_be_no_site_yet(file: Path) -> None:
    settings = load(file, start='include = ["sites/*.toml"]')
    assert (settings.sites, settings.is_single) == ((), False)
