"""What the arguments of several commands are made of: mailbox names, sets, flags, dates (RFC 9051 section 9).

Says nothing about which mailbox or message exists. A mailbox name is text, `INBOX` in capitals.

Diagnostics: raises GrammarError with a sentence that says what was expected.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone

from mailsrv.errors import GrammarError
from mailsrv.imap import utf7
from mailsrv.imap.numbers import MAX_NUMBER, NumberSet, SequenceSet, parse_uids
from mailsrv.imap.tokens import ATOM, FLAG, LIST_ATOM, NUMBER, SET, Cursor

MAX_FLAGS = 200  # in one list
MAX_PART_DEPTH = 100  # deeper than any structure that is read

# The one spelling of each system flag (RFC 9051 section 2.3.2), by its capitals.
SYSTEM_FLAGS = {
    b"\\ANSWERED": "\\Answered",
    b"\\FLAGGED": "\\Flagged",
    b"\\DELETED": "\\Deleted",
    b"\\SEEN": "\\Seen",
    b"\\DRAFT": "\\Draft",
}
RECENT = "\\Recent"

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_OF = {name.encode(): number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1(?=[ )]|\Z)')
_DATE_TIME = re.compile(
    rb'"([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_mailbox(cursor: Cursor) -> str:
    """A mailbox name, as the session spells names at present."""
    start = cursor.at
    octets = cursor.expect_astring("a mailbox name")
    return _decode_name(cursor, start, octets)


def read_pattern(cursor: Cursor) -> str:
    """A mailbox name with wildcards (list-mailbox)."""
    start = cursor.at
    octets = cursor.expect_astring("a mailbox pattern", LIST_ATOM)
    return _decode_name(cursor, start, octets)


def _decode_name(cursor: Cursor, start: int, octets: bytes) -> str:
    """Octets outside ASCII are UTF-8 for everybody, who may send them or not; elsewhere `&` begins modified UTF-7 until
    UTF-8 is enabled (RFC 9051 section 5.1 and appendix A.1)."""
    if octets.isascii():
        if len(octets) == 5 and octets.upper() == b"INBOX":
            return "INBOX"
        if b"&" not in octets or cursor.utf8:
            return octets.decode()
        return utf7.decode(octets)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        cursor.at = start
        raise cursor.fault("a mailbox name in UTF-8") from None


def read_set(cursor: Cursor) -> SequenceSet:
    """A sequence-set, `*` and `$` unresolved."""
    match = SET.match(cursor.octets, cursor.at)
    if match is None:
        raise cursor.fault("a set of numbers like 1:3,7,9:*")
    found = SequenceSet.parse(match[0])
    cursor.at = match.end()
    return found


def read_uids(cursor: Cursor) -> NumberSet:
    """A set of UIDs without `*`."""
    return parse_uids(cursor.expect_pattern(SET, "a set of UIDs"))


def read_uidvalidity(cursor: Cursor) -> int:
    """An nz-number."""
    return cursor.expect_number("a UIDVALIDITY", 1, MAX_NUMBER)


def read_modseq(cursor: Cursor) -> int:
    """A mod-sequence value or 0 (RFC 7162 section 7, mod-sequence-valzer)."""
    return cursor.expect_number("a mod-sequence")


def read_flag(cursor: Cursor) -> str:
    """A flag or keyword; system flags in their one spelling, others as sent."""
    octets = cursor.expect_pattern(FLAG, "a flag")
    if octets.startswith(b"\\"):
        capitals = octets.upper()
        if capitals == b"\\RECENT":
            return RECENT
        return SYSTEM_FLAGS.get(capitals) or octets.decode()
    return octets.decode()


def read_flags(cursor: Cursor) -> tuple[str, ...]:
    """A list of flags in parentheses, each once; it may be empty."""
    return tuple(dict.fromkeys(cursor.expect_list_or_empty(read_flag, "flags", MAX_FLAGS)))


def read_keyword(cursor: Cursor) -> str:
    """A keyword: an atom, so no system flag."""
    return cursor.expect_pattern(ATOM, "a keyword").decode()


def read_date(cursor: Cursor) -> date:
    """A date like 1-Feb-1994, quoted or not."""
    match = _DATE.match(cursor.octets, cursor.at)
    if match is None:
        raise cursor.fault("a date like 1-Feb-1994")
    try:
        found = date(int(match[4]), _MONTH_OF[match[3].upper()], int(match[2]))
    except (ValueError, KeyError):
        raise cursor.fault("a date that the calendar has, like 1-Feb-1994") from None
    cursor.at = match.end()
    return found


def try_date_time(cursor: Cursor) -> int | None:
    """A date-time in seconds since the epoch; None where no quote begins one."""
    if not cursor.peek(b'"'):
        return None
    match = _DATE_TIME.match(cursor.octets, cursor.at)
    form = 'a date like "17-Jul-1996 02:44:25 -0700"'
    if match is None:
        raise cursor.fault(form)
    try:
        offset = timedelta(hours=int(match[8]), minutes=int(match[9]))
        moment = datetime(
            int(match[3]),
            _MONTH_OF[match[2].upper()],
            int(match[1]),
            int(match[4]),
            int(match[5]),
            min(int(match[6]), 59) if match[6] == b"60" else int(match[6]),  # a leap second
            tzinfo=timezone(-offset if match[7] == b"-" else offset),
        )
        seconds = int((moment - _EPOCH).total_seconds())
    except (ValueError, KeyError, OverflowError):
        raise cursor.fault(form) from None
    cursor.at = match.end()
    return seconds


def read_part(cursor: Cursor) -> tuple[int, ...]:
    """A section-part like 1.2.3; () where none begins. Stops before a dot that no number follows."""
    numbers: list[int] = []
    while (text := cursor.try_pattern(NUMBER)) is not None:
        number = int(text)
        if not 0 < number <= MAX_NUMBER:
            raise GrammarError("expected a part like 1.2, counted from 1")
        numbers.append(number)
        if len(numbers) > MAX_PART_DEPTH:
            raise GrammarError(f"expected a part of at most {MAX_PART_DEPTH} levels")
        if not NUMBER.match(cursor.octets, cursor.at + 1) or not cursor.try_octets(b"."):
            break
    return tuple(numbers)
