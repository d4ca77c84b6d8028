"""The suite of attacks runs; measuring with it takes an idle machine."""

from pathlib import Path

from tests.hostile import runner
from tests.hostile.table import ATTACKS


async def test_polite_clients_are_answered_while_a_site_is_attacked(tmp_path: Path) -> None:
    (kind,) = [kind for kind in ATTACKS if kind.name == "a trailer of spaces"]
    result = await runner.run(kind, tmp_path / "site", seconds=1)
    assert result.quiet.failed == 0, result
    assert result.attacked.failed == 0, result
    assert result.attacked.answered > 0, result
    assert result.memory.during - result.memory.before < kind.growth, result
