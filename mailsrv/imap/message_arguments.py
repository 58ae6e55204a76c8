"""Arguments of the commands that change or move messages: STORE, COPY, MOVE, UID EXPUNGE, APPEND and REPLACE (RFC 9051
sections 6.3.12 and 6.4, RFC 7162 section 3.1.3, RFC 6851, RFC 4315, RFC 3502, RFC 3516, RFC 6855, RFC 8508).

The messages of APPEND and REPLACE are never here: `read_append` and `read_next_message` read what announces them.

Diagnostics: readers raise GrammarError with what was expected, and Incomplete where a literal that is no message is
announced.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal, bad
from mailsrv.imap.grammar import (
    MAX_FLAGS,
    RECENT,
    read_flag,
    read_flags,
    read_mailbox,
    read_modseq,
    read_set,
    try_date_time,
)
from mailsrv.imap.numbers import MAX_NUMBER, STAR, SequenceSet
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor, Incomplete

_UTF8 = re.compile(rb"(?i:UTF8) \(")


class Change(Enum):
    """What STORE does with the flags that it names."""

    REPLACE = b"FLAGS"
    ADD = b"+FLAGS"
    REMOVE = b"-FLAGS"

    __hash__ = object.__hash__  # members are single: by identity, in C


_CHANGES = {change.value + silent: (change, bool(silent)) for change in Change for silent in (b"", b".SILENT")}


@dataclass(frozen=True, slots=True)
class Store:
    """STORE and UID STORE. `unchanged_since` is a mod-sequence or None (RFC 7162 section 3.1.3)."""

    numbers: SequenceSet
    change: Change
    flags: tuple[str, ...]
    silent: bool = False
    unchanged_since: int | None = None
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and UID COPY."""

    numbers: SequenceSet
    mailbox: str
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """MOVE and UID MOVE."""

    numbers: SequenceSet
    mailbox: str
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Expunge:
    """UID EXPUNGE with its UIDs; EXPUNGE has None."""

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """APPEND; its messages follow as events."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Replace:
    """REPLACE and UID REPLACE of the message `number`, which is STAR for `*`; its one message follows as events."""

    number: int
    mailbox: str
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Announcement:
    """What stands before a message: its metadata, and a literal of `size` octets at the end of the line."""

    flags: tuple[str, ...]
    date: int | None
    size: int
    binary: bool
    utf8: bool


def read_store(cursor: Cursor, situation: Situation, uid: bool = False) -> Store:
    """STORE numbers [(UNCHANGEDSINCE modseq)] change flags."""
    cursor.expect_space("a set of numbers")
    numbers = read_set(cursor)
    cursor.expect_space("FLAGS, +FLAGS or -FLAGS")
    unchanged_since = None
    if cursor.try_octets(b"("):
        if not cursor.try_word(b"UNCHANGEDSINCE"):
            raise cursor.fault("UNCHANGEDSINCE")
        cursor.expect_space("a mod-sequence")
        unchanged_since = read_modseq(cursor)
        cursor.expect_octets(b") ", "the end of the modifiers and a change")
    change, silent = cursor.expect_choice(_CHANGES, "FLAGS, +FLAGS or -FLAGS")
    cursor.expect_space("flags")
    if cursor.peek(b"("):
        flags = read_flags(cursor)
    else:
        flags = _read_bare_flags(cursor)
    cursor.expect_end()
    if RECENT in flags:
        raise GrammarError("\\Recent is nothing that a client can store")
    return Store(numbers, change, flags, silent, unchanged_since, uid)


def _read_bare_flags(cursor: Cursor) -> tuple[str, ...]:
    flags = [read_flag(cursor)]
    while cursor.try_octets(b" "):
        flags.append(read_flag(cursor))
        if len(flags) > MAX_FLAGS:
            raise GrammarError(f"expected at most {MAX_FLAGS} flags")
    return tuple(dict.fromkeys(flags))


def read_copy(cursor: Cursor, situation: Situation, uid: bool = False) -> Copy:
    """COPY numbers mailbox."""
    return Copy(*_read_numbers_and_mailbox(cursor), uid)


def read_move(cursor: Cursor, situation: Situation, uid: bool = False) -> Move:
    """MOVE numbers mailbox."""
    return Move(*_read_numbers_and_mailbox(cursor), uid)


def _read_numbers_and_mailbox(cursor: Cursor) -> tuple[SequenceSet, str]:
    cursor.expect_space("a set of numbers")
    numbers = read_set(cursor)
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_end()
    return numbers, mailbox


def read_expunge(cursor: Cursor, situation: Situation) -> Expunge:
    """EXPUNGE."""
    cursor.expect_end()
    return Expunge()


def read_uid_expunge(cursor: Cursor, situation: Situation) -> Expunge:
    """UID EXPUNGE uids."""
    cursor.expect_space("a set of UIDs")
    uids = read_set(cursor)
    cursor.expect_end()
    return Expunge(uids)


# Messages


def read_append(cursor: Cursor, situation: Situation) -> tuple[Append, Announcement]:
    """APPEND mailbox, and what announces its first message."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    return Append(mailbox), _read_announcement(cursor, situation)


def read_replace(cursor: Cursor, situation: Situation, uid: bool = False) -> tuple[Replace, Announcement]:
    """REPLACE number mailbox, and what announces its message."""
    cursor.expect_space("a number")
    number = STAR if cursor.try_octets(b"*") else cursor.expect_number("a number or *", 1, MAX_NUMBER)
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    return Replace(number, mailbox, uid), _read_announcement(cursor, situation)


def read_next_message(cursor: Cursor, situation: Situation) -> Announcement | None:
    """What follows a message of APPEND: another announcement, or None at the end of the command."""
    if cursor.at_end:
        return None
    # One space too many: IMAPClient's multiappend writes it before each further message without flags.
    if cursor.peek(b"  "):
        cursor.expect_space("a message as literal")
    return _read_announcement(cursor, situation)


def _read_announcement(cursor: Cursor, situation: Situation) -> Announcement:
    cursor.expect_space("a message as literal")
    flags: tuple[str, ...] = ()
    if cursor.peek(b"("):
        flags = tuple(flag for flag in read_flags(cursor) if flag != RECENT)
        cursor.expect_space("a date or a message as literal")
    date = try_date_time(cursor)
    if date is not None:
        cursor.expect_space("a message as literal")
    utf8 = cursor.try_pattern(_UTF8) is not None
    if utf8 and not situation.utf8:
        raise Refusal(bad("UTF8 (...) needs ENABLE UTF8=ACCEPT first"))
    try:
        cursor.try_string()
    except Incomplete as literal:
        if utf8 and not literal.binary:
            raise GrammarError("expected ~{ behind UTF8 (") from None
        return Announcement(flags, date, literal.size, literal.binary, utf8)
    raise cursor.fault("a message as literal")
