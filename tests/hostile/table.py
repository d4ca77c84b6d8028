"""The kinds of attack, and what each may cost the others.

A kind is an async function that gets a `TargetSite` and attacks until it is cancelled. It runs in a
process of its own. It is to be bounded by itself in what it uses of the machine (`CONNECTIONS`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from tests.hostile.attacks import (
    CONNECTIONS,
    checkout,
    chunks,
    files,
    heads,
    maintenance,
    ours,
    places,
    tls,
    wakes,
)
from tests.hostile.attacks.http2 import control, streams, windows
from tests.hostile.attacks.http2 import heads as blocks
from tests.hostile.target import TargetSite
from tests.support.app_checkout import COMMAND

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
    sleeper: Mapping[str, Any] = {}
    """`[idle]` of a second site beside it, which is asleep when nobody uses it."""
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
    ends: str = ""
    """The error of HTTP/2 with which its connections are ended."""
    may_end: str = ""
    """The same, of an attack that may be too slow for it."""


def _http2(
    name: str, attack: Callable[[TargetSite], Awaitable[None]], ends: str = "", **more: Any
) -> Attack:
    return Attack(f"HTTP/2: {name}", attack, over_tls=True, ends=ends, **more)


CALM = "ENHANCE_YOUR_CALM"


CROWDED = {"proxy": {"max_connections": places.PLACES}}
"""More connections come than there are places."""
HOLDING = {"hold": {"limit": 15, "per_client": 10}}
"""There are places at the gate for one attacker's share and for all who are polite."""
BUFFERED = SLOW + 20
"""A buffer has up to 256 KiB in memory, and as much while that is written to its file."""
OF_STREAMS = round(CONNECTIONS * (400 + streams.STREAMS * 20) / 1024)
"""MiB for a hundred streams on each connection: docs/hardening.md has what each may take."""
UNREAD = 64 + OF_STREAMS
"""The same with bodies that neither a buffer nor a backend has taken."""
ALL_BUFFERS = 64 + UNREAD
"""The same with `buffer_memory`."""
OF_IDLE = round(streams.IDLE * (50 + 30) / 1024)
"""MiB for connections that have no stream, all of which do their handshakes at the same time."""
LOG = 16 + 24
"""MiB for a log that nobody reads, and for what reads the requests."""
STREAMED = {"proxy": {"buffer_requests": 0}}
"""Request bodies are not buffered: each has a backend at once."""
ON_UNIX_SOCKET = {"command": [*COMMAND, "{socket}"], "ports": None}
"""An app that does not read is soon noticed: between TCP sockets, the kernel keeps 3 MB first."""

UNBUFFERED = {"proxy": {"buffer_responses": 0}}
"""Responses are not read ahead: only the windows keep the app from sending them."""
FEW_RESETS = {"proxy": {"http2": {"max_resets": 200}}}
"""As many as an attack can reach in a few seconds."""

HTTP2 = (
    _http2("rapid resets", streams.rapid_resets, CALM, sections=FEW_RESETS),
    _http2(
        "rapid resets of uploads",
        streams.rapid_resets_of_uploads,
        may_end=CALM,
        sections=FEW_RESETS,
    ),
    _http2("resets that are provoked", streams.provoked_resets, CALM, sections=FEW_RESETS),
    _http2("streams beyond the limit", streams.beyond_the_limit, CALM, sections=FEW_RESETS),
    _http2("stalled uploads", streams.stalled_uploads, growth=ALL_BUFFERS),
    _http2("stalled uploads, streamed", streams.stalled_uploads, sections=STREAMED, growth=UNREAD),
    _http2("uploads nobody answers", streams.unanswered_uploads, growth=ALL_BUFFERS),
    _http2(
        "uploads nobody reads",
        streams.uploads_that_nobody_reads,
        sections={**STREAMED, "app": ON_UNIX_SOCKET},
        settle=FILLED,
        growth=UNREAD,
    ),
    _http2("requests after GOAWAY", streams.goaways),
    _http2("a hundred requests at a time", streams.requests),
    _http2("requests nobody waits for", streams.hasty_goodbyes),
    _http2("a thousand idle connections", streams.idle, settle=FILLED, growth=OF_IDLE),
    _http2("SETTINGS", control.settings, CALM),
    _http2("large SETTINGS", control.large_settings, CALM),
    _http2("windows of many streams", control.windows_of_many_streams, CALM),
    _http2("PING, unread", control.unread_pings),
    _http2("empty DATA", control.empty_data, CALM),
    _http2("DATA of one byte", control.one_byte_data),
    _http2("padded DATA", control.padded_data),
    _http2("unknown frames", control.unknown_frames, CALM),
    _http2("WINDOW_UPDATE", control.window_updates, CALM),
    _http2("windows too large", control.overflowing_windows, "FLOW_CONTROL_ERROR"),
    _http2("PRIORITY in circles", control.priorities, CALM),
    _http2("endless CONTINUATION", blocks.endless, CALM),
    _http2("empty CONTINUATION", blocks.empty_continuations, CALM),
    _http2("HPACK bombs", blocks.bombs, may_end=CALM),
    _http2("HPACK bombs of small fields", blocks.small_bombs, may_end=CALM),
    _http2("sizes of the HPACK table", blocks.table_sizes, "COMPRESSION_ERROR"),
    _http2("huge HPACK integers", blocks.huge_numbers, "COMPRESSION_ERROR"),
    _http2("Huffman code", blocks.long_codes, may_end=CALM),
    _http2("many new fields", blocks.many_fields, may_end=CALM),
    _http2("a head that drips", blocks.dripping),
    _http2("a preface that drips", blocks.dripping_preface),
    _http2("records of one byte", blocks.records_of_one_byte),
    _http2("windows of 0", windows.closed, growth=BUFFERED, settle=FILLED),
    _http2("responses nobody reads", windows.unread, growth=BUFFERED, settle=FILLED),
    _http2("windows of one byte", windows.one_byte_at_a_time, CALM, sections=UNBUFFERED),
    _http2(
        "one byte for all streams",
        windows.one_byte_of_the_connection,
        may_end=CALM,
        sections=UNBUFFERED,
    ),
    _http2("one byte for each stream", windows.one_byte_more_for_all, CALM, sections=UNBUFFERED),
    _http2("updates of keys", tls.key_updates_of_http2, missing=tls.what_is_missing()),
)

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
    Attack("forged secret links", maintenance.forged_links),
    Attack("forged cookies of a secret link", maintenance.forged_cookies),
    Attack("clients that vanish while a site wakes", wakes.vanishing_clients, sleeper=wakes.IDLE),
    Attack("revisions that fail with much to say", checkout.failing_revisions),
    Attack("subjects of 100 MB", checkout.giant_subjects),
    Attack("a FIFO as HEAD", checkout.a_fifo_as_head, growth=16),
    Attack("a device as HEAD", checkout.a_device_as_head, growth=16),
    *HTTP2,
)
