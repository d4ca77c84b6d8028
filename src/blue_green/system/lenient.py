"""Structure a document as far as possible: damage in a part of it costs only that part.

That is the smallest part without which the rest is complete: a field that has a default, or an
entry of a list or table. Else it is as strict as `strict`.
"""

from types import UnionType
from typing import Any, Union, get_args, get_origin

import attrs

from blue_green.system.strict import strict_converter

LONGEST_REASON = 200

_CONVERTER = strict_converter()


class Damaged(ValueError):
    """A part that cannot be read; str() names it, and says why."""


class LenientReader:
    """Structures documents, and adds what it leaves out to `damage`, in words."""

    def __init__(self, damage: list[str]) -> None:
        self.damage = damage

    def record(self, kind: type[Any], document: Any, where: str = "") -> Any:
        """An object of this attrs class; raise `Damaged` if a required field is."""
        if not isinstance(document, dict):
            raise Damaged(f"{where or 'it'} should be a table")
        prefix = f"{where}." if where else ""
        values: dict[str, Any] = {}
        for field in attrs.fields(attrs.resolve_types(kind)):
            if field.name in document:
                self._read_field(field, document.pop(field.name), prefix, values)
            elif field.default is attrs.NOTHING:
                raise Damaged(f"{prefix}{field.name} is missing")
        self.damage += [f"{prefix}{name[:LONGEST_REASON]} is unknown" for name in document]
        try:
            return kind(**values)
        except ValueError as error:  # Its fields do not fit each other.
            raise Damaged(f"{where}: {str(error)[:LONGEST_REASON]}") from None

    def _read_field(
        self, field: "attrs.Attribute[Any]", raw: Any, prefix: str, values: dict[str, Any]
    ) -> None:
        try:
            values[field.name] = self._checked(field, raw, f"{prefix}{field.name}")
        except Damaged as damaged:
            if field.default is attrs.NOTHING:
                raise
            self.damage.append(str(damaged))

    def _checked(self, field: "attrs.Attribute[Any]", raw: Any, where: str) -> Any:
        value = self._structured(field.type, raw, where)
        try:
            if field.validator is not None:
                field.validator(None, field, value)
        except (ValueError, TypeError) as error:
            raise Damaged(f"{where}: {str(error)[:LONGEST_REASON]}") from None
        return value

    def _structured(self, kind: Any, raw: Any, where: str) -> Any:
        if get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind):
            (kind,) = (one for one in get_args(kind) if one is not type(None))
        if attrs.has(kind):
            return self.record(kind, raw, where)
        try:
            if get_origin(kind) is list:
                return list(self._entries(kind, dict(enumerate(raw, 1)), where).values())
            if get_origin(kind) is dict:
                return self._entries(kind, dict(raw), where)
            return _CONVERTER.structure(raw, kind)
        except Exception:  # noqa: BLE001  # cattrs raises many kinds.
            # The value itself may be a secret, and is not for the log.
            raise Damaged(f"{where} has the wrong type, or an unknown value") from None

    def _entries(self, kind: Any, raw: dict[Any, Any], where: str) -> dict[Any, Any]:
        """The entries that can be read."""
        found, of_entry = {}, get_args(kind)[-1]
        for key, each in raw.items():
            try:
                found[key] = self._structured(of_entry, each, f"{where}.{str(key)[:64]}")
            except Damaged as damaged:
                self.damage.append(str(damaged))
        return found
