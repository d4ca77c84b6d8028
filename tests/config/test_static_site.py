"""Settings that have no effect without an app."""

from pathlib import Path

import pytest

from tests.support.settings import load, problems

STATIC = '[files]\n"/" = "public"\n'
WORKER = '[processes.worker]\ncommand = ["work"]\n'


def test_a_static_site_needs_no_app(file: Path) -> None:
    (site,) = load(file, start=STATIC).sites
    assert site.is_static


def test_with_a_command_it_is_no_static_site(file: Path) -> None:
    (site,) = load(file, STATIC).sites
    assert not site.is_static


@pytest.mark.parametrize(
    ("section", "line", "key"),
    [
        ("app", "ports = [3000, 3001]", "[app] ports"),
        ("app", "backends = 2", "[app] backends"),
        ("app", 'stop_timeout = "5s"', "[app] stop_timeout"),
        ("health", 'path = "/healthz"', "[health] path"),
        ("health", 'warmup = ["/"]', "[health] warmup"),
        ("swap", 'strategy = "exclusive"', "[swap] strategy"),
        ("swap", 'soak = "20s"', "[swap] soak"),
        ("swap", 'canary = "20%"', "[swap] canary"),
        ("idle", 'after = "30m"', "[idle] after"),
    ],
)
def test_settings_of_backends_have_no_effect(file: Path, section: str, line: str, key: str) -> None:
    (problem,) = problems(file, f"[{section}]\n{line}\n", start=STATIC)
    assert problem.startswith(f"{key}: has no effect without command in [app]")


def test_the_pages_of_a_static_site_have_no_effect_with_an_app(file: Path) -> None:
    (problem,) = problems(file, f'{STATIC}fallback = "public/index.html"\n')
    assert problem == "[files] fallback: has no effect with command in [app]"


def test_its_processes_have_a_soak_and_are_stopped(file: Path) -> None:
    more = f'{WORKER}[swap]\nsoak = "20s"\n[app]\nstop_timeout = "5s"\n'
    (site,) = load(file, more, start=STATIC).sites
    assert site.is_static


def test_its_processes_are_not_probed(file: Path) -> None:
    (problem,) = problems(file, f'{WORKER}[health]\npath = "/up"\n', start=STATIC)
    assert problem.startswith("[health] path: ")
