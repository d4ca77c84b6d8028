"""Whatever the documents show is valid for the program that reads it."""

import inspect
import re
from pathlib import Path

import attrs
import pytest

import blue_green
from blue_green.admin import exposition, process_metrics
from blue_green.site.receipt import Receipt
from tests.docs import table
from tests.docs.blocks import PAGES, TOP, Block, blocks, mentioned
from tests.docs.checks import CHECKS, check_command
from tests.faults.table import FAULTS


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_each_block_is_valid_for_the_program_that_reads_it(block: Block, tmp_path: Path) -> None:
    assert block.language in CHECKS, "say what it is written in, or `text`"
    CHECKS[block.language](block, tmp_path)


def test_every_fence_is_a_block() -> None:
    for path in PAGES:
        page = str(path.relative_to(TOP))
        fences = re.findall(r"(?m)^ *```", path.read_text())
        assert len(fences) == 2 * sum(block.page == page for block in blocks())


def test_every_shell_command_is_run_or_has_a_reason_why_not() -> None:
    shown = [(block.page, block.text.splitlines()[0]) for block in blocks("sh")]
    assert len(set(shown)) == len(shown), "begin them differently, so that they can be told apart"
    known = {*table.RUN, *table.READ, table.AT_THE_END}
    assert set(shown) - known == set(), "say in tests/docs/table.py how they are run, or why not"
    assert known - set(shown) == set(), "these are not in the documents any more"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_running_text_exist(path: Path) -> None:
    for command in mentioned(path):
        check_command(command)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", path.read_text()):
        file = path.parent / target if target else path
        assert file.exists(), target
        titles = re.findall(r"(?m)^#+ (.+)$", file.read_text()) if anchor else []
        names = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
        assert not anchor or anchor in names, f"{target}#{anchor}"


def test_every_page_is_linked_from_another() -> None:
    text = "\n".join(path.read_text() for path in PAGES)
    for path in PAGES[1:]:
        assert f"{path.name})" in text or f"{path.name}#" in text, f"nothing leads to {path.name}"


def test_each_phase_and_each_number_of_a_swap_is_documented() -> None:
    page = (TOP / "docs" / "swaps.md").read_text()
    source = "".join(
        path.read_text() for path in Path(inspect.getfile(blue_green)).parent.rglob("*.py")
    )
    phases = set(re.findall(r'timed\("([a-z ]+)"', source))
    assert phases >= {"checkout", "switch", "bring back"}
    assert [phase for phase in phases if phase not in page] == []
    assert [one.name for one in attrs.fields(Receipt) if f"`{one.name}`" not in page] == []


def test_each_fault_of_the_suite_is_documented() -> None:
    page = (TOP / "docs" / "failures.md").read_text()
    assert [fault.name for fault in FAULTS if f"*{fault.name}*" not in page] == []


def test_the_metrics_that_are_recommended_for_alerts_exist() -> None:
    page = (TOP / "docs" / "watching.md").read_text()
    source = inspect.getsource(exposition) + inspect.getsource(process_metrics)
    named = set(re.findall(r"blue_green_(\w+?)(?:_total)?[{\[ ]", page))
    assert len(named) == 9
    assert [name for name in named if f'blue_green_{name}"' not in source] == []


def test_each_line_of_the_unit_that_may_break_an_app_is_documented() -> None:
    unit = (TOP / "deploy" / "blue-green.service").read_text()
    page = (TOP / "docs" / "hardening.md").read_text()
    loose = re.findall(r"(?m)^# LOOSEN(?:[^\n]*\n#)*[^\n]*\n(\w+=)", unit)
    assert len(loose) == unit.count("LOOSEN: ")
    assert [line for line in loose if f"| `{line}" not in page] == []
