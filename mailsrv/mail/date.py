"""The date-time of RFC 5322 section 3.3, as Received and Date fields carry it, always in UTC.

The clock is not asked here: the caller hands in the moment.

Diagnostics: raises nothing for moments from the year 1970 to 9999.
"""

from datetime import UTC, datetime

# strftime would write the names in the language of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# The last second asked for and its text: many messages share a second. One tuple, replaced whole: threads agree.
_last: tuple[int, str] = (-1, "")


def format_date(moment: float) -> str:
    """`Tue, 14 Nov 2023 22:13:20 +0000` for seconds since the epoch."""
    global _last
    second = int(moment)
    last = _last
    if last[0] == second:
        return last[1]
    date = datetime.fromtimestamp(second, UTC)
    text = (
        f"{_DAYS[date.weekday()]}, {date.day} {_MONTHS[date.month - 1]} {date.year:04}"
        f" {date.hour:02}:{date.minute:02}:{date.second:02} +0000"
    )
    _last = (second, text)
    return text
