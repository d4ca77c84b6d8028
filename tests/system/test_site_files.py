"""The files that `include` names are found and read, and each mistake in them is one line."""

import os
from pathlib import Path

import pytest

from blue_green.system import site_files

FILE = "supervisor.toml"


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for sites beside the settings file, which is in the current directory."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "sites"
    directory.mkdir()
    return directory


def names(*patterns: str, file: str = FILE) -> list[str]:
    found, problems = site_files.read(Path(file), {"include": list(patterns)})
    assert not problems
    return [site.name for site in found]


def test_wildcards_match_no_hidden_files_and_no_backups(sites: Path) -> None:
    for name in ("b.toml", "a.toml", ".x.toml", "a.toml~", "#a.toml#", ".a.toml.swp", "c.toml.bak"):
        (sites / name).write_text("")
    assert names("sites/*.toml") == ["a", "b"]
    assert names("sites/*") == ["a", "b"]
    assert names("sites/[b]*", "sites/a.*") == ["b", "a"]


def test_a_file_that_two_patterns_match_is_one_site(sites: Path) -> None:
    (sites / "a.toml").write_text("")
    assert names("sites/*.toml", "sites/a.toml", "./sites/../sites/a.toml") == ["a"]


def test_patterns_without_any_file_are_found(sites: Path) -> None:
    (sites / "a.toml").write_text("")
    patterns = ["sites/*.toml", "site/*.toml", "sites/b*", "sites/c.toml"]
    assert site_files.unmatched(Path(FILE), {"include": patterns}) == ["site/*.toml", "sites/b*"]


def test_the_settings_file_does_not_include_itself(sites: Path) -> None:
    Path(FILE).write_text("")
    Path("blog.toml").write_text("")
    assert names("*.toml") == ["blog"]
    assert names("*.toml", file=str(sites.parent / FILE)) == ["blog"]


def test_patterns_are_relative_to_the_settings_file_and_may_be_absolute(
    sites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sites / "a.toml").write_text("")
    monkeypatch.chdir("/")
    file = str(sites.parent / FILE)
    assert names("sites/*.toml", file=file) == ["a"]
    assert names(f"{sites}/*.toml", file="/etc/x.toml") == ["a"]


def test_a_directory_with_wildcard_characters_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "[x]"
    (odd / "sites").mkdir(parents=True)
    (odd / "sites" / "a.toml").write_text("")
    assert names("sites/*.toml", file=str(odd / FILE)) == ["a"]


def test_a_pattern_that_matches_nothing_is_no_error_but_a_missing_file_is(sites: Path) -> None:
    assert names("sites/*.toml", "nowhere/*.toml") == []
    [missing], _ = site_files.read(Path(FILE), {"include": ["sites/gone.toml"]})
    assert missing.name == "gone"
    assert missing.problems == [
        "sites/gone.toml: cannot be read: No such file or directory; include names it"
    ]


def test_a_name_that_is_too_long_is_a_site_with_a_problem(sites: Path) -> None:
    """Such a file cannot even be looked at; neither can one that only another user may see."""
    [unnamed], _ = site_files.read(Path(FILE), {"include": [f"sites/{'x' * 300}"]})
    assert [problem[-30:] for problem in unnamed.problems] == [
        "cannot be read: File name too long"[-30:]
    ]


def test_files_that_cannot_be_read_are_sites_with_one_problem_each(sites: Path) -> None:
    (sites / "bytes.toml").write_bytes(b"\xff")
    (sites / "dangling.toml").symlink_to("nowhere")
    (sites / "directory.toml").mkdir()
    os.mkfifo(sites / "fifo.toml")
    (sites / "good.toml").write_text("a = 1")
    (sites / "large.toml").write_text("#" * (1024 * 1024 + 1))
    (sites / "text.toml").write_text("[[")
    found, problems = site_files.read(Path(FILE), {"include": ["sites/*.toml"]})
    assert not problems
    said = {site.name: " ".join(site.problems) for site in found}
    assert said.pop("good") == ""
    for name, why in {
        "bytes": "is not UTF-8 text",
        "dangling": "No such file or directory; include names it",
        "directory": "is a directory; to include the files in it, add /*.toml",
        "fifo": "is not a regular file",
        "large": "is larger than 1048576 bytes",
        "text": "is not TOML",
    }.items():
        assert said[name].startswith(f"sites/{name}.toml: ")
        assert why in said[name]
    assert len(said) == 6


def test_more_files_than_anybody_has_sites_are_an_error(
    sites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_files, "MAX_SITES", 3)
    for number in range(4):
        (sites / f"{number}.toml").write_text("")
    found, problems = site_files.read(Path(FILE), {"include": ["sites/*.toml"]})
    assert (found, problems) == ((), ["supervisor.toml: include: matches more than 3 files"])


def test_a_directory_with_very_many_entries_is_an_error(
    sites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_files, "MAX_NAMES", 3)
    for number in range(4):
        (sites / f"{number}.txt").write_text("")
    _, [problem] = site_files.read(Path(FILE), {"include": ["sites/*.toml"]})
    assert problem.endswith("cannot list the directory: it has more than 3 entries")


def test_a_directory_that_cannot_be_listed_is_an_error(sites: Path) -> None:
    """It would seem to have no sites, and a reload would remove all of them."""
    (sites / "file").write_text("")
    _, [problem] = site_files.read(Path(FILE), {"include": ["sites/file/*.toml"]})
    assert problem == (
        "supervisor.toml: include: sites/file/*.toml: cannot list the directory: Not a directory"
    )
