"""Fields of requests, for the tests of the heads."""

from collections.abc import Mapping

Fields = list[tuple[bytes, bytes]]

LIMIT = 16 * 1024

ORDINARY = {
    ":method": "GET",
    ":scheme": "https",
    ":authority": "h.example",
    ":path": "/",
}


def fields_of(*more: tuple[str, str], method: str = "GET", protocol: str | None = None) -> Fields:
    """A request with these fields besides the pseudo-headers."""
    extended = {} if protocol is None else {":protocol": protocol}
    fields = changed({":method": method, **extended})
    return [*fields, *((name.encode("latin-1"), value.encode("latin-1")) for name, value in more)]


def changed(new: Mapping[str, str] | None = None, *, without: str = "") -> Fields:
    """An ordinary request with some fields added, replaced or left out."""
    kept = {name: value for name, value in ORDINARY.items() if name != without}
    fields = {**kept, **(new or {})}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    return sorted(encoded, key=lambda field: not field[0].startswith(b":"))
