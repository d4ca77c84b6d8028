"""`python -m tests.late` finds the functions that it delays."""

from pathlib import Path

from tests.late import PARTS, SOURCE, make_late_copy


def test_every_late_part_has_its_delay_in_the_copy(tmp_path: Path) -> None:
    make_late_copy(tmp_path)
    for part in PARTS:
        before = (SOURCE / part.file).read_text()
        after = (tmp_path / SOURCE.name / part.file).read_text()
        assert after.count(part.delay) == before.count(part.delay) + 1
        compile(after, part.file, "exec")
