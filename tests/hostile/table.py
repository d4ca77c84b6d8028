"""The kinds of attack, and what each may cost the others.

A kind is an async function that gets a `TargetSite` and attacks until it is cancelled. It runs in a
process of its own. It is to be bounded by itself in what it uses of the machine (`CONNECTIONS`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from tests.hostile.attacks import checkout, chunks, files, heads, ours, places, tls
from tests.hostile.target import TargetSite

FILLED = 5.0
"""Seconds until the buffers of the kernel are full, so that nobody can send any more."""
SLOW = 16
"""MiB for forty slow readers: docs/hardening.md has what each may cost."""


@frozen
class Attack:
    """One kind of attack."""

    name: str
    attack: Callable[[TargetSite], Awaitable[None]]
    over_tls: bool = False
    """The site speaks TLS, with everybody."""
    sections: Mapping[str, Mapping[str, Any]] = {}
    """Settings of the site."""
    growth: int = 64
    """MiB by which the supervisor's memory may grow under it."""
    refuses: bool = False
    """Polite clients may be refused meanwhile; who is answered, is answered in time."""
    settle: float = 1.0
    """Seconds for it to get under way."""
    log_stalls: bool = False
    """Nobody reads what the supervisor logs."""
    missing: str = ""
    """What it needs and is not here: then it is left out."""


CROWDED = {"proxy": {"max_connections": places.PLACES}}
"""More connections come than there are places."""
HOLDING = {"hold": {"limit": 15, "per_client": 10}}
"""There are places at the gate for one attacker's share and for all who are polite."""
BUFFERED = SLOW + 20
"""A buffer has up to 256 KiB in memory, and as much while that is written to its file."""
LOG = 16 + 24
"""MiB for a log that nobody reads, and for what reads the requests."""


ATTACKS: tuple[Attack, ...] = (
    Attack("tiny chunks", chunks.tiny),
    Attack("a trailer of spaces", chunks.spacious_trailer),
    Attack("heads that drip", heads.dripping),
    Attack("heavy heads", heads.heavy),
    Attack("a header of spaces", heads.spacious),
    Attack("pipelined requests", heads.pipelined),
    Attack("abandoned requests", heads.abandoned),
    Attack("an app that prints empty lines", ours.empty_lines),
    Attack("an app that prints unprintable lines", ours.unprintable_lines),
    Attack("control messages", ours.control_messages),
    Attack("updates of keys", tls.key_updates, over_tls=True, missing=tls.what_is_missing()),
    Attack("replayed hellos", tls.replayed_hellos, over_tls=True),
    Attack("records of one byte", tls.one_byte_records, over_tls=True),
    Attack("slow readers", tls.slow_readers, growth=BUFFERED, settle=FILLED),
    Attack(
        "slow readers over TLS", tls.slow_readers, growth=BUFFERED, settle=FILLED, over_tls=True
    ),
    Attack("slow readers of files", files.slow_readers, sections=files.SERVED, growth=SLOW),
    Attack("odd paths of files", files.odd_paths, sections=files.SERVED),
    Attack("small ranges of files", files.small_ranges, sections=files.SERVED),
    Attack("idle connections in all places", places.idle, sections=CROWDED),
    Attack("silent connections in all places", places.silent, sections=CROWDED),
    Attack("silence in place of handshakes", places.silent, sections=CROWDED, over_tls=True),
    Attack("stalled uploads in all places", places.stalled_uploads, sections=CROWDED),
    Attack("all places at the gate", places.held, sections=HOLDING),
    Attack(
        "long paths, and a log nobody reads",
        places.long_paths,
        sections={"proxy": {"access_log": True}},
        growth=LOG,
        log_stalls=True,
    ),
    Attack("revisions that fail with much to say", checkout.failing_revisions),
    Attack("subjects of 100 MB", checkout.giant_subjects),
    Attack("a FIFO as HEAD", checkout.a_fifo_as_head, growth=16),
    Attack("a device as HEAD", checkout.a_device_as_head, growth=16),
)
