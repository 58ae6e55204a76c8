"""Date fields of every kind."""

import email.utils
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.date import format_date
from mailsrv.mail.sent_date import SentDate, read_sent_date

BASE = 1700000000  # Tue, 14 Nov 2023 22:13:20 +0000
MIDNIGHT = BASE - BASE % 86400

DATES = [
    (b"Tue, 14 Nov 2023 22:13:20 +0000", BASE, 0),
    (b" Tue, 14 Nov\r\n 2023 22:13:20 +0000 (UTC)", BASE, 0),
    (b"14 Nov 2023 22:13 +0000", BASE - 20, 0),
    (b"Tue,14 Nov 2023 23:13:20 +0100", BASE, 60),
    (b"Tue, 14 Nov 2023 14:13:20 -0800", BASE, -480),
    (b"Wed, 15 Nov 2023 03:43:20 +0530", BASE, 330),
    (b"Wed, 15 Nov 2023 03:43:20 +05:30", BASE, 330),
    (b"Tuesday, 14 November 2023 22:13:20 GMT", BASE, 0),
    (b"14-Nov-2023 22:13:20 +0000", BASE, 0),
    (b"Tue, 14-Nov-23 22:13:20 UTC", BASE, 0),
    (b"Tue, 14 Nov 2023 17:13:20 EST", BASE, -300),
    (b"Tue, 14 Nov 2023 15:13:20 PDT", BASE, -420),
    (b"Tue, 14 Nov 2023 22:13:20 Z", BASE, 0),
    (b"Tue, 14 Nov 2023 22:13:20 A", BASE, 0),
    (b"Tue, 14 Nov 2023 22:13:20 XYZ", BASE, 0),
    (b"Tue, 14 Nov 2023 22:13:20", BASE, 0),
    (b"Tue, 14 Nov 2023 22 : 13 : 20 +0000", BASE, 0),
    (b"Tue, (day) 14 Nov (month) 2023 22:13:20 (time) +0000", BASE, 0),
    (b"Tue, 14 Nov 2023 22:13:20.123 +0000", BASE, 0),
    (b"Tue Nov 14 22:13:20 2023", BASE, 0),
    (b"Tue Nov 14 17:13:20 EST 2023", BASE, -300),
    (b"Tue Nov 14 22:13:20 2023 +0000", BASE, 0),
    (b"Nov 14, 2023 22:13:20", BASE, 0),
    (b"2023-11-14T22:13:20Z", BASE, 0),
    (b"2023-11-14 23:13:20+01:00", BASE, 60),
    (b"2023-11-14", MIDNIGHT, 0),
    # RFC 5256 section 2.2: an invalid zone is UTC, an invalid time midnight
    (b"Tue, 14 Nov 2023 22:13:20 +9999", BASE, 0),
    (b"Tue, 14 Nov 2023 22:13:20 +0099", BASE, 0),
    (b"Tue, 14 Nov 2023 25:13:20 +0000", MIDNIGHT, 0),
    (b"Tue, 14 Nov 2023 22:61:20 +0100", MIDNIGHT - 3600, 60),
    (b"Tue, 14 Nov 2023", MIDNIGHT, 0),
    (b"Tue, 14 Nov 2023 no time", MIDNIGHT, 0),
    (b"31 Dec 2000 16:01:33 -0800", 978307293, -480),
    (b"Fri, 31 Dec 2016 23:59:60 +0000", 1483228799, 0),
    # RFC 5322 section 4.3
    (b"1 Jan 70 00:00:00 GMT", 0, 0),
    (b"1 Jan 49 00:00:00 GMT", 2493072000, 0),
    (b"1 Jan 50 00:00:00 GMT", -631152000, 0),
    (b"1 Jan 123 00:00:00 GMT", 1672531200, 0),
    (b"1 Jan 0001 00:00:00 GMT", -62135596800, 0),
]


@pytest.mark.parametrize(("value", "seconds", "zone"), DATES)
def test_dates(value: bytes, seconds: int, zone: int) -> None:
    assert read_sent_date(value) == SentDate(seconds, zone)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"now",
        b"22:13:20",
        b"30 Feb 2023 00:00:00 +0000",
        b"0 Jan 2023",
        b"1 Foo 2023",
        b"1 Jan 0000",
        b"2023-13-01",
    ]
    + [b"1 Jan 99999", b"\xff", b"(" * 1000, b" " * 10000 + b"14 Nov", b"Jan", b"x" * 300 + b" 14 Nov 2023"],
)
def test_no_dates(value: bytes) -> None:
    assert read_sent_date(value) is None


def test_the_day_is_the_senders() -> None:
    late = read_sent_date(b"14 Nov 2023 23:30:00 -0800")
    assert late is not None
    assert late.day == MIDNIGHT // 86400
    assert late.seconds // 86400 == late.day + 1
    early = read_sent_date(b"14 Nov 2023 00:30:00 +0800")
    assert early is not None
    assert early.day == MIDNIGHT // 86400


@given(st.integers(0, 253402300799))
def test_what_the_house_writes(moment: int) -> None:
    assert read_sent_date(format_date(moment).encode()) == SentDate(moment, 0)


@given(st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1)), st.integers(-23 * 60, 23 * 60))
def test_what_the_standard_library_writes(when: datetime, zone: int) -> None:
    moment = when.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=zone)))
    found = read_sent_date(email.utils.format_datetime(moment).encode())
    assert found == SentDate((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1), zone)


PIECES = [
    b"14",
    b"2023",
    b" ",
    b"Nov",
    b"-",
    b":",
    b"+",
    b"00",
    b"0100",
    b"(",
    b")",
    b",",
    b"T",
    b"Z",
    b"GMT",
    b".",
    b"9",
]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_anything_has_a_date_or_none(value: bytes) -> None:
    found = read_sent_date(value)
    assert found is None or re.search(rb"[0-9]", value)


@given(
    st.integers(0, 32),
    st.sampled_from("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()),
    st.integers(0, 9999),
    st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(0, 61)),
    st.sampled_from(["+0000", "-0330", "+2359", "-2400", "+0060", "+1400 (CET)"]),
)
def test_the_usual_form_is_read_as_any_other(
    day: int, month: str, year: int, time: tuple[int, int, int], zone: str
) -> None:
    hour, minute, second = time
    rest = f"{day} {month} {year:04} {hour:02}:{minute:02}:{second:02} {zone}"
    # Two spaces are not usual.
    assert read_sent_date(f"Mon, {rest}".encode()) == read_sent_date(f"Mon,  {rest}".encode())
