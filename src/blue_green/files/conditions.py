"""Conditional requests and ranges (RFC 9110 sections 13 and 14)."""

import calendar
import re
from email.utils import parsedate_tz
from enum import Enum, auto

from attrs import frozen

from blue_green.http.heads import Fields, joined

TAG = re.compile(rb'(W/)?("[!#-~\x80-\xff]*")')
RANGE = re.compile(rb"(?i:bytes)[ \t]*=[ \t]*([0-9]*)-([0-9]*)")
MOST_DIGITS = 18


class Evaluation(Enum):
    """What the conditions of a request come to."""

    SEND = auto()
    SEND_PART = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()
    UNSATISFIABLE = auto()
    """The file has nothing in the range."""


@frozen
class Validators:
    """By what a client recognises a file that it has already."""

    etag: bytes
    """Strong, with its quotes."""
    modified: int
    """Seconds since 1970."""
    last_modified: bytes
    """The same as HTTP writes it."""


def evaluate(
    fields: Fields, file: Validators, size: int, *, is_get: bool
) -> tuple[Evaluation, range]:
    """What to do, and which bytes to send, in the order of section 13.2.2."""
    whole = range(size)
    if (tags := joined(fields, b"if-match")) is not None:
        if not _matches(tags, file.etag, is_strong=True):
            return Evaluation.FAILED, whole
    elif (date := joined(fields, b"if-unmodified-since")) is not None:
        seconds = _seconds(date)
        if seconds is not None and file.modified > seconds:
            return Evaluation.FAILED, whole
    if (tags := joined(fields, b"if-none-match")) is not None:
        if _matches(tags, file.etag, is_strong=False):
            return Evaluation.NOT_MODIFIED, whole
    elif joined(fields, b"if-modified-since") == file.last_modified:
        # Not if it is later, too: after a rollback, an earlier file is the new one.
        return Evaluation.NOT_MODIFIED, whole
    wanted = joined(fields, b"range")
    if wanted is None or not is_get or not _is_same(joined(fields, b"if-range"), file):
        return Evaluation.SEND, whole
    part = _range(wanted, size)
    if part is None:
        return Evaluation.SEND, whole
    return (Evaluation.SEND_PART, part) if part else (Evaluation.UNSATISFIABLE, whole)


def _matches(tags: bytes, etag: bytes, *, is_strong: bool) -> bool:
    if tags == b"*":
        return True
    found = TAG.findall(tags)
    return any(tag == etag and not (weak and is_strong) for weak, tag in found)


def _is_same(validator: bytes | None, file: Validators) -> bool:
    return validator is None or validator in (file.etag, file.last_modified)


def _range(wanted: bytes, size: int) -> range | None:
    """The bytes of one range, possibly none; None if it is to be ignored.

    Several ranges, malformed ones, and those of an empty file are.
    """
    found = RANGE.fullmatch(wanted)
    if found is None or not (found[1] or found[2]) or not size:
        return None
    first, last = (_number(text) for text in found.groups())
    if not found[1]:
        return range(max(0, size - last), size)
    if found[2] and last < first:
        return None
    return range(first, min(last + 1, size) if found[2] else size)


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= MOST_DIGITS else 10**MOST_DIGITS


def _seconds(date: bytes) -> int | None:
    """Seconds since 1970 of a date in one of the three forms of section 5.6.7."""
    try:
        parsed = parsedate_tz(date.decode("latin-1"))
        return None if parsed is None else calendar.timegm((*parsed[:6], 0, 0, 0))
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
