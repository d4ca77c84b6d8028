"""Rows of figures, measured with each proxy in turn."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.bench.peers import PeerProxy, nginx_origin

WARM_UP_SECONDS = 1


class Measured(Protocol):
    """A row of the table."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str:
        """More is better, except in ms."""

    def measure(self, port: int, pid: int, directory: Path, seconds: float) -> float:
        """The figure of the proxy with this port and pid, in the unit of the row."""


def compare(
    peers: Sequence[PeerProxy],
    rows: Sequence[Measured],
    directory: Path,
    rounds: int,
    seconds: float,
    **options: object,
) -> None:
    """Measure and print. The options are for `PeerProxy.running`."""
    if not rows:
        return
    www = directory / "www"
    www.mkdir(exist_ok=True)
    (www / "100k").write_bytes(bytes(100_000))
    (www / "100m").write_bytes(bytes(100_000_000))
    installed = [peer for peer in peers if peer.is_installed]
    left_out = [peer.name for peer in peers if not peer.is_installed]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with nginx_origin(directory) as origin:
        for _ in range(rounds):
            for peer in installed:
                with peer.running(directory, origin, **options) as (port, pid):
                    # A first start is not what is compared: whoever listens need not be ready yet.
                    rows[0].measure(port, pid, directory, WARM_UP_SECONDS)
                    for row in rows:
                        value = row.measure(port, pid, directory, seconds)
                        found[row.name, peer.name].append(value)
    _print(rows, installed, {key: statistics.median(values) for key, values in found.items()})
    if left_out:
        print(f"\nnot installed, and so left out: {', '.join(left_out)}")


def _print(
    rows: Sequence[Measured], peers: Sequence[PeerProxy], found: dict[tuple[str, str], float]
) -> None:
    ours = peers[0].name
    print(f"\n{'':<28}{'':>11}", *(f"{peer.name:>18}" for peer in peers))
    for row in rows:
        cells = []
        for peer in peers:
            value, mine = found[row.name, peer.name], found[row.name, ours]
            ratio = value / mine if row.unit == "ms" else mine / value
            shown = f"{value:,.3f}" if row.unit == "ms" else f"{value:,.0f}"
            cells.append(f"{shown:>10} ({ratio:4.2f}x)")
        print(f"{row.name:<28}{row.unit:>11}", *cells)
    print(f"(in brackets: {ours} compared with it; more is better for {ours})")
