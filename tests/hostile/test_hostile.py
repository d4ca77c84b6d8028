"""The suite of attacks runs; measuring with it takes an idle machine."""

from pathlib import Path

import pytest

from tests.hostile import runner
from tests.hostile.table import ATTACKS


@pytest.mark.parametrize("name", ["a trailer of spaces", "HTTP/2: endless CONTINUATION"])
async def test_polite_clients_are_answered_while_a_site_is_attacked(
    tmp_path: Path, name: str
) -> None:
    (kind,) = [kind for kind in ATTACKS if kind.name == name]
    result = await runner.run(kind, tmp_path / "site", seconds=1)
    assert result.quiet.failed == 0, result
    assert result.attacked.failed == 0, result
    assert result.attacked.answered > 0, result
    assert result.memory.during - result.memory.before < kind.growth, result
    assert set(result.ends) <= {kind.ends}, result
