"""Sections with names of the user's, and sections whose keys are paths."""

from pathlib import Path

import pytest

from blue_green.config.changes import changes
from tests.support.settings import load, problems

WORKER = '[processes.worker]\ncommand = ["rq", "worker"]\n'


def test_a_process_has_a_section_with_its_name(file: Path) -> None:
    (site,) = load(file, f"{WORKER}count = 2\n").sites
    worker = site.processes["worker"]
    assert (worker.command, worker.count) == (("rq", "worker"), 2)
    assert worker.handover == "exclusive"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[processes]\nworker = 1", "[processes.worker]: must be a section of settings, not 1"),
        ("[processes.w]\ncount = 1", "[processes.w] command: is missing, and has no default"),
        (f"{WORKER}counts = 1", "[processes.worker] counts: is unknown; did you mean count?"),
        ('[processes."a b"]\ncommand = ["x"]', '[processes]: "a b" is not a name: use at most 63'),
        (f'{WORKER}schedule = "0 25 * * *"', "[processes.worker] schedule: must be a schedule"),
        ('[files]\n"/a" = "../x"', '[files] /a: "../x" must be a path inside the release'),
        ('[files]\n"/a/../b" = "x"', '[files] /a/../b: "/a/../b" must have no empty segment'),
        ('[files]\n"/a" = "x"\n"/a/" = "x"', "[files] /a/: is there twice"),
        ("[files]\ndirectories = 1", "[files] directories: is set by keys that begin with a slash"),
    ],
)
def test_a_mistake_in_one_is_reported_with_its_place(file: Path, more: str, said: str) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(said)


def test_the_paths_of_files_are_keys_of_the_section(file: Path) -> None:
    (site,) = load(file, '[files]\n"/static/" = "public/"\n"/" = "site"\n').sites
    assert site.files.directories == {"/static": "public", "/": "site"}


def test_a_site_with_files_needs_no_app(file: Path) -> None:
    (site,) = load(file, '[files]\n"/" = "public"\n', start="").sites
    assert site.app.command == ()


def test_without_files_the_app_is_required(file: Path) -> None:
    assert problems(file, "", start="[git]\n") == ["[app]: is missing, and has no default"]
    (problem,) = problems(file, "[files]\n", start="")
    assert problem.endswith("is missing, and [files] has no directory to serve")


def test_a_change_of_one_names_its_section(file: Path) -> None:
    old = load(file, f'{WORKER}[files]\n"/a" = "x"\n')
    new = load(file, f'{WORKER}count = 3\n[files]\n"/a" = "y"\n[processes.cron]\ncommand = ["c"]\n')
    found = {(change.section, change.key): (change.old, change.new) for change in changes(old, new)}
    assert found[("processes.worker", "count")] == (1, 3)
    assert found[("processes.cron", "command")] == (None, ["c"])
    assert found[("files", "/a")] == ("x", "y")
