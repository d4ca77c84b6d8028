"""Structure JSON and TOML strictly: exactly the keys and the types that the classes have."""

from typing import Any

from cattrs import Converter


def strict_converter() -> Converter:
    """A converter that allows no unknown keys, and converts nothing but whole numbers to floats.

    Making one takes milliseconds, and so does its first use with each class.
    """
    converter = Converter(forbid_extra_keys=True)
    for kind in (str, bool, int, float):
        converter.register_structure_hook(kind, _exactly)
    return converter


def _exactly(value: Any, kind: type[Any]) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # isinstance() would take True for a number.
        raise ValueError(f"{value!r} should be of type {kind.__name__}")
    return value
