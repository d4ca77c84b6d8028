"""How much memory of the supervisor a site takes."""

import subprocess
import sys
from pathlib import Path

MEGABYTE = 1_000_000
MORE = 40
"""Sites."""


def memory_with(sites: int, directory: Path) -> int:
    words = [sys.executable, "-m", "tests.support.memory_of_sites", str(directory), str(sites)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=120)
    return int(done.stdout)


def test_a_further_site_takes_less_than_a_megabyte_of_memory(tmp_path: Path) -> None:
    one, many = memory_with(1, tmp_path), memory_with(1 + MORE, tmp_path)
    assert (many - one) / MORE < MEGABYTE
