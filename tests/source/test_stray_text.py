"""Reports of stray data are short, and their advice can be pasted."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blue_green.source import stray_data, stray_text


def test_the_report_of_many_files_is_short_and_examines_few(tmp_path: Path) -> None:
    """An app may have any number of uploads, and it is said while others wait."""

    class Counted(list[str]):
        looks = 0

        def __getitem__(self, at: Any) -> Any:
            found = super().__getitem__(at)
            Counted.looks += len(found) if isinstance(at, slice) else 1
            return found

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("it looks at each of them")

    files = Counted(f"{number}.jpg" for number in range(100_000))
    found = stray_data.StrayData(
        Path("/releases/a"), tmp_path, (), (), frozenset(), files, tuple(files[:50])
    )
    for told in (stray_text.warning(found), stray_text.kept(found), stray_text.early(found)):
        assert "0.jpg, 1.jpg" in told
        assert "and 99990 more" in told
        assert len(told) < 2000
    assert "with 40 more, in [release]" in stray_text.warning(found)
    assert Counted.looks < 200


def test_the_steps_name_the_site_and_the_swap_that_was_refused(tmp_path: Path) -> None:
    found = stray_data.StrayData(Path("/releases/a"), tmp_path, (), ("a.db",))
    swap = "blue-green swap --site shop ab12345 --preview"
    *_, pause, _, again, resume = stray_text.refusal(found, "shop", swap).splitlines()
    assert (pause, again) == (
        "3. blue-green pause --site shop --for 5m",
        f"5. {swap}",
    )
    assert resume == "6. blue-green resume --site shop"
    assert "blue-green swap --site shop\n" in stray_text.warning(found, "shop")


@pytest.mark.parametrize(
    "name",
    [
        'a "quoted" name.db',
        "back\\slash",
        "line\nfeed\x1b[31m",
        "tab\t",
        "ümlaut.sqlite",
        "'single'",
    ],
)
def test_the_advised_link_setting_is_toml_that_contains_the_names(name: str) -> None:
    array = stray_text.toml_array([".env", name, name])
    assert "\n" not in array
    assert tomllib.loads(f"link = {array}") == {"link": [".env", name]}


def test_a_name_that_is_not_utf_8_is_escaped_in_the_advised_link_setting() -> None:
    array = stray_text.toml_array(["bad\udcff.db"])
    assert tomllib.loads(f"link = {array}") == {"link": ["bad\\xff.db"]}
