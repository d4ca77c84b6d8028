"""The time zone of the machine, as the C library knows it: `TZ`, or else /etc/localtime.

Unlike the fixed offset that `datetime.astimezone()` gives, it knows about daylight saving time.
"""

from datetime import UTC, datetime, timedelta, tzinfo


class LocalZone(tzinfo):
    """The time zone of the machine; `fold` tells times apart that come twice (PEP 495)."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        if moment is None:
            return None
        naive = moment.replace(tzinfo=None)
        return naive - datetime.fromtimestamp(naive.timestamp(), UTC).replace(tzinfo=None)

    def fromutc(self, moment: datetime) -> datetime:
        utc = moment.replace(tzinfo=UTC)
        naive = utc.astimezone().replace(tzinfo=None, fold=0)
        return naive.replace(tzinfo=self, fold=naive.timestamp() != utc.timestamp())

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return moment.replace(tzinfo=None).astimezone().tzname() if moment else None


LOCAL = LocalZone()
