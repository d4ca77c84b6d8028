"""What two sites must not have in common is an error with both places."""

from pathlib import Path

import pytest

from blue_green.supervisor import settings_file
from tests.support.settings import load, problems, problems_of_sites, site, write_sites

HOOK = '[webhook]\nsecret_file = "s"\npath = "/push"\n'
ADMIN = '[admin]\nlisten = ["127.0.0.1:8001"]\n'


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (site(1, "x.org"), site(3, "X.ORG."), "hosts: x.org is also in sites/a.toml: hosts"),
        (site(1, "*"), site(3, "*"), "hosts: * is also in sites/a.toml: hosts"),
        (
            site(1, "x.org", 'paths = ["/api"]'),
            site(3, "x.org", 'paths = ["/", "/api/"]'),
            "hosts: x.org with path /api is also in sites/a.toml: hosts",
        ),
        (
            site(1, "x.org", 'redirect_hosts = ["www.x.org"]'),
            site(3, "www.x.org"),
            "hosts: www.x.org is also in sites/a.toml: redirect_hosts",
        ),
        (
            site(1, "x.org", 'redirect_hosts = ["www.x.org"]'),
            site(3, "y.org", 'redirect_hosts = ["www.x.org"]'),
            "redirect_hosts: www.x.org is also in sites/a.toml: redirect_hosts",
        ),
        (site(1, "x.org"), site(2, "y.org"), "[app] ports: 2 is also in sites/a.toml: [app] ports"),
        (
            site(1, "x.org", after=HOOK),
            site(3, "y.org", after=HOOK),
            "[webhook] path: /push is also in sites/a.toml: [webhook] path",
        ),
        (
            site(1, "x.org", after='[git]\ncheckout = "/srv"\n[release]\nin_place = true'),
            site(3, "y.org", after='[git]\ncheckout = "/srv"\n'),
            "[git] checkout: /srv is also the checkout in sites/a.toml, and one of the two runs in",
        ),
        (
            site(1, "x.org", after='[git]\ncheckout = "/srv"\n'),
            site(3, "y.org", after='[git]\ncheckout = "/srv/"\n[release]\nin_place = true'),
            "[git] checkout: /srv is also the checkout in sites/a.toml, and one of the two runs in",
        ),
    ],
)
def test_two_sites_contradict_each_other(file: Path, first: str, second: str, said: str) -> None:
    [problem] = problems_of_sites(file, ADMIN, a=first, b=second)
    assert problem.startswith(f"sites/b.toml: {said}")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (site(1, "x.org"), site(3, "*.x.org")),
        (site(1, "x.org"), site(3, "x.org", 'paths = ["/api"]')),
        (site(1, "*.x.org"), site(3, "x.org", 'redirect_hosts = ["www.x.org"]')),
        (site(1, "x.org", 'paths = ["/a"]'), site(3, "x.org", 'paths = ["/a/b", "/ab"]')),
        (
            site(1, "x.org", after='[git]\ncheckout = "/srv"'),
            site(3, "y.org", after='[git]\ncheckout = "/srv"'),
        ),
    ],
)
def test_two_sites_may_share_a_host_or_a_checkout(file: Path, first: str, second: str) -> None:
    write_sites(file, a=first, b=second)
    assert [one.name for one in settings_file.load(file).sites] == ["a", "b"]


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ('hosts = ["x.org", "X.org"]', "hosts: x.org is listed twice"),
        ('hosts = ["x.org"]\npaths = ["/a", "/a/"]', "paths: /a is listed twice"),
        (
            'hosts = ["x.org"]\nredirect_hosts = ["x.org"]',
            "redirect_hosts: x.org is also in hosts",
        ),
        ("hosts = []", "hosts: must have at least one host"),
        ("strip_path = true", "strip_path: has no effect without paths"),
        ('strip_path = true\npaths = ["/"]', "strip_path: has no effect without paths"),
        (
            'redirect_hosts = ["www.x.org"]',
            "redirect_hosts: needs a host to redirect to: the first of hosts must have no wildcard",
        ),
        (
            f"hosts = {[f'{i}.x' for i in range(101)]}\npaths = {[f'/{i}' for i in range(100)]}",
            "hosts: with paths, there are 10100 pairs of a host and a path",
        ),
    ],
)
def test_one_site_contradicts_itself(file: Path, before: str, said: str) -> None:
    [problem] = problems(file, start=site(3000, before=before))
    assert problem.startswith(said)


def test_each_of_several_sites_needs_hosts(file: Path) -> None:
    [problem] = problems_of_sites(file, a=site(3000))
    assert problem.startswith('sites/a.toml: hosts: must have at least one host; with ["*"], the')


def test_a_port_of_a_site_that_the_process_uses_is_an_error_of_the_site(file: Path) -> None:
    [problem] = problems_of_sites(file, ADMIN, a=site(8001, "x.org"))
    assert problem == "sites/a.toml: [app] ports: 8001 is also in [admin] listen, 127.0.0.1:8001"


def test_a_table_names_both_places(file: Path) -> None:
    tables = "".join(
        f'[sites.{name}]\nhosts = ["x.org"]\n[sites.{name}.app]\ncommand = ["x"]\nports = {ports}\n'
        for name, ports in (("a", [1, 2]), ("b", [3, 4]))
    )
    assert problems(file, start=tables) == [
        f"[sites.b] hosts: x.org is also in {file}: [sites.a] hosts"
    ]


def test_the_only_site_gets_every_host_by_default(file: Path) -> None:
    assert load(file).sites[0].serving.hosts == ("*",)
