"""The sent date: the Date field of a message as a number, whatever form it has.

Read are the date-time of RFC 5322 section 3.3 with the obsolete forms of section 4.3, the same without a day, with
words written out, with hyphens or with the zone missing, the form of ctime(3), and ISO 8601. RFC 5256 section 2.2 says
what takes the place of what is invalid: UTC for a zone, midnight for a time; without a valid day there is no date.

Diagnostics: raises nothing.
"""

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from mailsrv.mail.mime_header import unfold

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_MONTH = rb"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_SEPARATOR = rb"(?:[ \t]*[-/.,][ \t]*|[ \t]+)"
# What RFC 5322 section 3.3 makes of it, as nearly everybody does, and `unfold` leaves as it is.
_USUAL = re.compile(
    rb" ?(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4})"
    rb" ([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]) ([+-])([01][0-9]|2[0-3])([0-5][0-9])(?: \([A-Za-z]{1,20}\))?\r?"
)
_DAY_MONTH_YEAR = re.compile(
    rb"([0-9]{1,2})" + _SEPARATOR + _MONTH + _SEPARATOR + rb"([0-9]{2,4})(?![0-9])", re.IGNORECASE
)
# `Nov 14 22:13:20 2023`, and with the zone before the year, as date(1) prints it.
_CTIME = re.compile(
    _MONTH
    + rb"[ \t]+([0-9]{1,2})(,?[ \t]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?[ \t]+(?:[a-z]{1,5}[ \t]+)?|,[ \t]*)([0-9]{4})"
    rb"(?![0-9])",
    re.IGNORECASE,
)
_ISO = re.compile(rb"([0-9]{4})-([0-9]{2})-([0-9]{2})(?=[T \t]|\Z)", re.IGNORECASE)
_TIME = re.compile(rb"([0-9]{1,2})[ \t]*[:.][ \t]*([0-9]{2})(?:[ \t]*[:.][ \t]*([0-9]{2}))?(?:[.,][0-9]{1,9})?")
_OFFSET = re.compile(rb"(?<![0-9-])([+-])([0-9]{2}):?([0-9]{2})(?![0-9])")
_ZONE_WORD = re.compile(rb"(?<![a-z0-9])([a-z]{1,4})(?![a-z0-9])", re.IGNORECASE)
_COMMENT = re.compile(rb"\([^()]*+\)")

# RFC 5322 section 4.3, minutes; a military zone or an unknown word is UTC.
_ZONES = {
    b"est": -300,
    b"edt": -240,
    b"cst": -360,
    b"cdt": -300,
    b"mst": -420,
    b"mdt": -360,
    b"pst": -480,
    b"pdt": -420,
}
_EPOCH = date(1970, 1, 1).toordinal()
_MAX_LENGTH = 200  # octets that are looked at
_MAX_OFFSET = 24 * 60  # minutes


class SentDate(NamedTuple):
    """A moment: seconds since the epoch, and the minutes by which the sender's clock was before UTC."""

    seconds: int
    zone: int

    @property
    def day(self) -> int:
        """The day on the sender's calendar, from the epoch: what SEARCH SENTON and its sisters compare (RFC 9051
        section 6.4.4: time and zone disregarded)."""
        return (self.seconds + self.zone * 60) // 86400


def read_sent_date(value: bytes) -> SentDate | None:
    """Read the raw value of a Date field; None when there is no day in it that exists."""
    if usual := _USUAL.fullmatch(value):
        day_of_month, month, year, hour, minute, second, sign, zone_hours, zone_minutes = usual.groups()
        known = _known_day(year, month, day_of_month)
        if known is None:
            return None
        zone = int(zone_hours) * 60 + int(zone_minutes)
        if sign == b"-":
            zone = -zone
        return SentDate(known * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second) - zone * 60, zone)
    text = unfold(value)[:_MAX_LENGTH]
    if b"(" in text:
        text = _COMMENT.sub(b" ", text)
    found = _find_day(text)
    if found is None:
        return None
    day, rest = found
    time = _TIME.search(rest)
    seconds = 0
    if time is not None:
        hour, minute, second = (int(part or 0) for part in time.groups())
        if hour < 24 and minute < 60 and second < 61:
            seconds = hour * 3600 + minute * 60 + min(second, 59)
        rest = rest[time.end() :]
    zone = _read_zone(rest)
    return SentDate(day * 86400 + seconds - zone * 60, zone)


def _find_day(text: bytes) -> tuple[int, bytes] | None:
    """The day from the epoch, and the text in which time and zone are."""
    if match := _DAY_MONTH_YEAR.search(text):
        year = int(match[3])
        if len(match[3]) < 4:  # RFC 5322 section 4.3
            year += 2000 if len(match[3]) == 2 and year < 50 else 1900
        day = _day(year, _MONTHS.index(match[2].lower()) + 1, int(match[1]))
        rest = text[match.end() :]
    elif match := _CTIME.search(text):
        day = _day(int(match[4]), _MONTHS.index(match[1].lower()) + 1, int(match[2]))
        rest = match[3] + text[match.end() :]
    elif match := _ISO.search(text):
        day = _day(int(match[1]), int(match[2]), int(match[3]))
        rest = text[match.end() :]
    else:
        return None
    return None if day is None else (day, rest)


@lru_cache(maxsize=512)
def _known_day(year: bytes, month: bytes, day: bytes) -> int | None:
    return _day(int(year), _MONTHS.index(month.lower()) + 1, int(day))


def _day(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def _read_zone(rest: bytes) -> int:
    """Minutes before UTC; 0 for none or an invalid one."""
    if match := _OFFSET.search(rest):
        minutes = int(match[2]) * 60 + int(match[3])
        if int(match[3]) < 60 and minutes < _MAX_OFFSET:
            return -minutes if match[1] == b"-" else minutes
        return 0
    if match := _ZONE_WORD.search(rest):
        return _ZONES.get(match[1].lower(), 0)
    return 0
