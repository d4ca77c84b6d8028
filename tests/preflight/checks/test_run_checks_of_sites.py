"""`blue-green check` of several sites: each is checked, and what they have in common."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli_w

from blue_green.config.settings import Settings
from blue_green.preflight.checks import machine, run_checks
from blue_green.preflight.checks.context import RunningSupervisor, find_running
from blue_green.preflight.checks.finding import Finding
from blue_green.supervisor import settings_file
from blue_green.system import memory
from tests.support.answers import certificate, status
from tests.support.check_context import CheckedSite, troubles
from tests.support.command import answering, cli

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
    assert [one.title for one in found] == ["sites.blog [git] checkout", "sites.shop [app] command"]


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


def test_sites_that_run_as_one_user_are_mentioned(subject: CheckedSite, shop: CheckedSite) -> None:
    [one] = [one for one in check(subject, shop) if "blog and shop run as" in one.text]
    assert one.verdict == "passed"
    assert "hardening.md" in one.text
    alone = check(subject, shop, names=["blog"])
    assert [one for one in alone if " run as " in one.text] == []


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
        "blog": status(certificates=[certificate("blog.example.com")]),
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
        certificates={
            "blog": sites["blog"]["certificates"],
            "shop": [],
            "api": (),
        },
    )


@pytest.fixture
def files(subject: CheckedSite, shop: CheckedSite) -> Path:
    """The settings of both sites, as a user would write them: a file for each."""
    main = {name: subject.sections[name] for name in ("proxy", "state")}
    directory = subject.directory / "several"
    (directory / "sites").mkdir(parents=True)
    (directory / "supervisor.toml").write_text(tomli_w.dumps({"include": ["sites/*.toml"], **main}))
    for name, one in (("blog", subject), ("shop", shop)):
        site = {"hosts": [f"{name}.localhost"], "app": one.sections["app"]}
        site["git"] = {"checkout": str(one.checkout.path)}
        (directory / "sites" / f"{name}.toml").write_text(tomli_w.dumps(site))
    return directory


def test_a_mistake_in_one_file_does_not_hide_what_is_wrong_with_another(files: Path) -> None:
    shop = files / "sites" / "shop.toml"
    assert cli(files, "check").code == 0
    shop.write_text(shop.read_text().replace("app.py", "nowhere").replace("command", "comand"))
    done = cli(files, "check")
    assert done.code == 2
    assert "failed  sites.shop settings: sites/shop.toml: [app] comand: is unknown" in done.out
    assert "passed  sites.blog [git] checkout: " in done.out
    assert "is valid" not in done.out


def test_one_site_can_be_named_to_the_command(files: Path) -> None:
    (files / "sites" / "shop.toml").write_text("[")
    done = cli(files, "check", "--site", "blog")
    assert (done.code, "sites.shop" in done.out, "sites.blog" in done.out) == (0, False, True)
    done = cli(files, "check", "--site", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert done.err == "blue-green: there is no site nowhere; there are: blog, shop\n"


def test_json_names_the_site_of_each_finding(files: Path) -> None:
    report = json.loads(cli(files, "check", "--json").out)
    assert (report["verdict"], {one.get("site") for one in report["findings"]}) == (
        "warned" if os.geteuid() == 0 else "passed",
        {None, "blog", "shop"},
    )
