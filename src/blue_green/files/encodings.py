"""Accept-Encoding (RFC 9110 section 12.5.3): which of a file's encodings a client gets."""

import re
from collections.abc import Collection
from functools import lru_cache
from operator import itemgetter

IDENTITY = b""
EXTENSIONS = {b"br": b".br", b"zstd": b".zst", b"gzip": b".gz"}
"""The content codings of files that are compressed beforehand, the best first."""

ENTRY = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?))?")


def choose(accepted: bytes, available: Collection[bytes]) -> bytes:
    """The coding to send, or `IDENTITY`; `accepted` is the value of Accept-Encoding.

    If the client accepts nothing that there is, it gets the file as it is, as the standard
    recommends.
    """
    weights = _weights(accepted)
    ranked = [
        (weight, coding)
        for coding in EXTENSIONS
        if coding in available and (weight := weights.get(coding, weights.get(b"*", 0.0))) > 0
    ]
    weight, best = max(ranked, key=itemgetter(0), default=(0.0, IDENTITY))  # The first of equals.
    return best if weight >= weights.get(b"identity", 0.0) else IDENTITY


@lru_cache(256)
def _weights(accepted: bytes) -> dict[bytes, float]:
    """The weight of each coding that is named. Malformed entries do not count."""
    weights = {}
    for entry in accepted.split(b","):
        if found := ENTRY.fullmatch(entry.strip(b" \t")):
            coding = found[1].lower().removeprefix(b"x-")
            weights[coding] = float(found[2] or 1)
    return weights
