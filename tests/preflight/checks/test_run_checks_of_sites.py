"""`blue-green check` of several sites: each is checked, and what they have in common."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from blue_green.config.settings import Settings
from blue_green.preflight.checks import machine, run_checks
from blue_green.preflight.checks.context import RunningSupervisor, find_running
from blue_green.preflight.checks.finding import Finding
from blue_green.supervisor import settings_file
from blue_green.system import memory
from tests.support.answers import status
from tests.support.check_context import CheckedSite, troubles
from tests.support.command import answering, cli

Check = Callable[..., list[Finding]]
MIB = 2**20


@pytest.fixture
def shop(subject: CheckedSite) -> CheckedSite:
    """Another site than `subject`, which is the blog."""
    (subject.directory / "shop").mkdir()
    return CheckedSite(subject.directory / "shop")


def several(*sites: tuple[str, CheckedSite]) -> Settings:
    """The settings of one supervisor with these sites; the first one's are for the process."""
    loaded = [(name, settings_file.load(subject.file)) for name, subject in sites]
    first = loaded[0][1]
    directory = first.state.directory
    return attrs.evolve(
        first,
        is_single=False,
        sites=tuple(
            attrs.evolve(settings.sites[0], name=name, state_directory=directory / "sites" / name)
            for name, settings in loaded
        ),
    )


def check(
    blog: CheckedSite,
    shop: CheckedSite,
    *,
    names: Sequence[str] = ("blog", "shop"),
    start: bool = False,
    **sections: dict[str, Any],
) -> list[Finding]:
    """All findings about the two sites, with settings of the shop changed."""
    blog.configure()
    shop.configure(**sections)
    settings = several(("blog", blog), ("shop", shop))
    sites = [site for site in settings.sites if site.name in names]
    found: list[Finding] = []
    assert run_checks.run(blog.file, settings, sites, found.append, start=start)
    return found


def test_the_findings_about_a_site_name_it(subject: CheckedSite, shop: CheckedSite) -> None:
    found = check(subject, shop)
    assert troubles(found) == []
    titles = [one.title for one in found]
    assert [titles.count(f"sites.{name} [git] checkout") for name in ("blog", "shop")] == [1, 1]
    assert titles.count("[proxy] listen") == 1
    [one] = [one for one in found if one.title == "sites.shop [git] checkout"]
    assert (one.as_dict()["about"], one.as_dict()["site"]) == ("[git] checkout", "shop")
    [one] = [one for one in found if one.title == "[proxy] listen"]
    assert "site" not in one.as_dict()


def test_a_site_that_cannot_be_used_does_not_hide_what_is_wrong_with_another(
    subject: CheckedSite, shop: CheckedSite
) -> None:
    shutil.rmtree(subject.checkout.path)
    found = troubles(check(subject, shop, app={"command": ["no-such-program"]}))
    assert [one.title for one in found] == ["sites.blog users", "sites.shop [app] command"]


def test_one_site_can_be_checked_alone(subject: CheckedSite, shop: CheckedSite) -> None:
    found = check(subject, shop, names=["shop"], app={"command": ["no-such-program"]})
    assert {one.site for one in found} == {"", "shop"}
    assert [one.title for one in troubles(found)] == ["sites.shop [app] command"]


def test_each_site_is_started_on_its_own(subject: CheckedSite, shop: CheckedSite) -> None:
    shop.answers("503")
    found = check(subject, shop, start=True, health={"start_timeout": "1s"})
    assert [(one.title, one.verdict) for one in found if one.about == "start"] == [
        ("sites.blog start", "passed"),
        ("sites.shop start", "failed"),
    ]
    [used] = [one for one in found if one.about == "memory"]
    assert used.text.startswith("the apps use ")
    assert "(blog " in used.text


def test_a_checkout_that_a_site_runs_in_is_not_for_two(
    subject: CheckedSite, shop: CheckedSite
) -> None:
    shared = {"checkout": str(subject.checkout.path)}
    assert troubles(check(subject, shop, git=shared)) == []
    found = troubles(check(subject, shop, git=shared, release={"in_place": True}))
    [one] = found
    assert (one.verdict, one.about) == ("warned", "[release] in_place")
    assert f"blog and shop share {subject.checkout.path}, and shop would run in it" in one.text


def test_sites_that_run_as_one_user_are_mentioned(subject: CheckedSite, shop: CheckedSite) -> None:
    [one] = [one for one in check(subject, shop) if "blog and shop run as" in one.text]
    assert one.verdict == "passed"
    assert "hardening.md" in one.text
    assert [
        one for one in check(subject, shop, names=["blog"]) if "run as root, so" in one.text
    ] == []


USES = [
    # used by blog and shop in MiB, which runs, available; what is found
    ((100, 300), (True, True), 350, "passed"),
    ((100, 300), (True, True), 250, "warned"),
    ((100, 300), (True, False), 550, "warned"),
    ((100, 300), (True, False), 650, "passed"),
    ((100, 300), (False, False), 650, "warned"),
    ((100, 300), (False, False), 750, "passed"),
]


@pytest.mark.parametrize("case", USES)
def test_the_memory_must_do_for_all_sites_and_a_second_release_of_the_largest(
    subject: CheckedSite,
    shop: CheckedSite,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[tuple[int, int], tuple[bool, bool], int, str],
) -> None:
    used, running, free, verdict = case
    subject.configure()
    shop.configure()
    sites = several(("blog", subject), ("shop", shop)).sites
    monkeypatch.setattr(memory, "available", lambda: free * MIB)
    uses = [
        machine.MemoryUse(site, size * MIB, runs)
        for site, size, runs in zip(sites, used, running, strict=True)
    ]
    [one] = machine.memory_for_swaps(uses, is_single=False)
    assert one.verdict == verdict
    said = f"the apps use 400 MiB (blog 100 MiB, shop 300 MiB), and {free} MiB are available"
    assert one.text.startswith(said)
    if verdict == "warned":
        assert one.text.endswith("a second release of shop may not fit")
        assert one.advice.startswith('set low_memory = "exclusive" in [swap] of shop')


def test_a_running_supervisor_is_asked_for_the_ports_of_all_its_sites(
    subject: CheckedSite, shop: CheckedSite
) -> None:
    subject.configure()
    shop.configure()
    settings = several(("blog", subject), ("shop", shop))
    second = {"slot": "blue", "revision": "", "ports": [3002, 3003], "pids": [], "since": None}
    sites = {
        "blog": status(),
        "shop": status(candidate=second),
        "api": {"phase": "broken", "problem": "it has none"},
    }
    answer = {"event": "result", "sites": sites, "supervisor": {"pid": 5}}
    with answering(settings.control.socket, answer):
        found = find_running(settings)
    assert found == RunningSupervisor(
        pid=5,
        ports=frozenset({3000, 3002, 3003}),
        pids={"blog": frozenset(), "shop": frozenset()},
    )


def test_a_site_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    subject = CheckedSite(tmp_path)
    subject.configure()
    done = cli(tmp_path, "check", "--site", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert done.err == "blue-green: there is no site nowhere; there are: checkout\n"
