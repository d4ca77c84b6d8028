"""How many workers a machine gets."""

import pytest

from blue_green.preflight.init.capacity import MIB, Capacity


@pytest.mark.parametrize(
    ("cpus", "memory", "workers"),
    [
        (1, 512, 1),
        (1, 1024, 2),
        (2, 1024, 2),
        (2, 2048, 3),
        (4, 8192, 5),
        (16, 65536, 17),
        (8, 64, 1),
    ],
)
def test_memory_bounds_the_workers_of_many_cpus(cpus: int, memory: int, workers: int) -> None:
    assert Capacity(cpus, memory * MIB).workers == workers


def test_one_is_not_many() -> None:
    assert Capacity(1, 512 * MIB).reasons.startswith(
        "1 worker with 4 threads each: 4 requests at once. init found 1 CPU and 512 MiB of memory."
    )
