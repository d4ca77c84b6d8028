"""The record of a build beside its release."""

import resource
from pathlib import Path

import pytest

from blue_green.source import build_record
from blue_green.source.stray_scan import Found


def test_a_build_record_is_restored_also_from_an_older_version(tmp_path: Path) -> None:
    file = tmp_path / "mark"
    written = build_record.complete("a" * 40, Found({'odd "name"\udcff': (1, 512)}))
    written.write(file)
    assert build_record.read(file) == written
    file.write_text(f"{'b' * 40} promoted\n")
    assert build_record.read(file) == build_record.BuildRecord("b" * 40, "promoted")


def test_a_build_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """It knows which databases are nowhere else. Here a file may not grow, as on a full disk."""
    file = tmp_path / "mark"
    noted = Found({"own.db": (1, 512)})
    build_record.complete("a" * 40, noted).write(file)
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            build_record.complete("b" * 40, noted).write(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == before


def test_a_build_record_is_never_longer_than_the_read_limit(tmp_path: Path) -> None:
    names = ["\N{SNOWMAN}" * 600 + str(number) for number in range(1000)]
    file = tmp_path / "mark"
    build_record.complete("a" * 40, Found(dict.fromkeys(names, (1, 512)))).write(file)
    again = build_record.read(file)
    assert again.is_partial
    assert len(again.databases) > 100
