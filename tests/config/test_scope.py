"""A section or a key in the wrong place is an error that says where it belongs."""

from pathlib import Path

import pytest

from tests.support.settings import MINIMAL, load, problems, problems_of_sites, site

ELSEWHERE = "is for one site, and this file is for several: it belongs in"
OF_PROCESS = "is for the whole process and not for one site: it belongs in"


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("[app]", f"[app]: {ELSEWHERE} [sites.NAME.app], or in [app] of the site's own file"),
        ("[swap]", f"[swap]: {ELSEWHERE} [sites.NAME.swap], or in [swap] of the site's own file"),
        (
            'hosts = ["a"]',
            f"hosts: {ELSEWHERE} [sites.NAME], or before the first section of the site's own file",
        ),
        ("includes = []", "includes: is unknown; did you mean include?"),
        ("[site.blog]", "[site]: is unknown; did you mean sites?"),
        ('checkout = "x"', "checkout: does not belong here, but in [sites.NAME.git], or in [git]"),
        ("[proxy]\ninclude = []", "[proxy] include: does not belong here, but before the first"),
        ("[proxy]\nhosts = []", "[proxy] hosts: does not belong here, but in [sites.NAME], or"),
        (
            "[colours]",
            "[colours]: is unknown; known here: proxy, admin, control, state, build, inc",
        ),
    ],
)
def test_in_the_main_file_of_several_sites(file: Path, main: str, said: str) -> None:
    [problem] = problems_of_sites(file, main, blog=site(3000, "blog.example.com"))
    assert problem.startswith(f"supervisor.toml: {said}")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "[proxy]", f"[proxy]: {OF_PROCESS} [proxy] of DIRECTORY/supervisor.toml"),
        ("", "[state]", f"[state]: {OF_PROCESS} [state] of DIRECTORY/supervisor.toml"),
        ("include = []", "", "include: belongs before the first section of DIRECTORY/superv"),
        ("", "[sites.x]", "[sites]: belongs before the first section of DIRECTORY/superv"),
        ("listen = []", "", "listen: does not belong here, but in [proxy] of DIRECTORY/superv"),
        (
            "",
            'hosts = ["x"]',
            "[app] hosts: is unknown here; did you mean ports, or hosts before the first section?",
        ),
        ("", 'checkout = "x"', "[app] checkout: does not belong here, but in [git]"),
        ('checkout = "x"', "", "checkout: does not belong here, but in [git]"),
        ("pathes = []", "", "pathes: is unknown; did you mean paths?"),
        ("", "[helth]", "[helth]: is unknown; did you mean health?"),
    ],
)
def test_in_a_file_of_a_site(file: Path, before: str, after: str, said: str) -> None:
    [problem] = problems_of_sites(file, blog=site(3000, "blog.example.com", before, after))
    said = said.replace("DIRECTORY/", "")
    assert problem.startswith(f"sites/blog.toml: {said}")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[sites.blog.proxy]", f"[sites.blog.proxy]: {OF_PROCESS} [proxy]"),
        ("[sites.blog.sites.x]", "[sites.blog.sites]: belongs before the first section of"),
        ('[sites.blog.app]\ncheckout="x"', "[sites.blog.app] checkout: does not belong here, but"),
        (
            '[sites.blog]\nbranch="x"',
            "[sites.blog] branch: does not belong here, but in [sites.blo",
        ),
        (
            "[sites.blog]\nhost=[]",
            "[sites.blog] host: is unknown here; did you mean hosts, or host in",
        ),
        (
            '[sites.blog]\nhosts=["a:80"]',
            '[sites.blog] hosts: "a:80" must be a host without a port',
        ),
        ("[sites.blog.hold]\nlimit=0", "[sites.blog.hold] limit: must be a whole number"),
        ("[sites.blog.git.x]", "[sites.blog.git] x: is unknown; known here: checkout, branch"),
    ],
)
def test_in_the_table_of_a_site(file: Path, table: str, said: str) -> None:
    found = problems(file, start=table)
    assert found[0].startswith(said) or found[1].startswith(said)


def test_a_site_with_a_dot_in_its_name_is_shown_as_toml_writes_it(file: Path) -> None:
    [problem, *_] = problems(file, start='[sites."x.org"]\nmax_body = "x"')
    assert problem.startswith('[sites."x.org"] max_body: ')


def test_the_file_of_the_only_site_has_everything(file: Path) -> None:
    settings = load(file, "[proxy]\nmax_head = 2048", start=f'hosts = ["x.org"]\n{MINIMAL}')
    assert settings.is_single
    assert settings.sites[0].serving.hosts == ("x.org",)
    assert settings.proxy.max_head == 2048


@pytest.mark.parametrize("start", ["", 'hosts = ["x.org"]\n', "[hold]\nlimit = 1\n"])
def test_a_file_without_any_site_says_what_is_missing(file: Path, start: str) -> None:
    assert problems(file, start=start) == ["[app]: is missing, and has no default"]


def test_sites_without_any_site_is_an_error(file: Path) -> None:
    assert problems(file, start="[sites]\n[proxy]\n") == [
        "[sites]: must have a section for each site, [sites.NAME]"
    ]
    [problem] = problems(file, start='sites = ["sites/*.toml"]')
    assert problem.startswith("sites: must be a section for each site, [sites.NAME], not ")
    [problem] = problems(file, start="[sites]\nblog = 3\n")
    assert problem.startswith("[sites.blog]: must be a section with the settings of a site, not 3")
