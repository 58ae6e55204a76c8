"""Untagged responses as octets, whole lines with CRLF (RFC 9051 section 7), and the words they are made of.

Values in, octets out; what is told, and when, is floor 4's. ENVELOPE and BODYSTRUCTURE are in mailsrv.imap.structure,
those of extensions in mailsrv.imap.extended_responses.

Diagnostics: raises nothing for values of the types named.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mailsrv.imap import utf7
from mailsrv.imap.mailbox_arguments import StatusItem
from mailsrv.imap.numbers import NumberSet

MAX_QUOTED = 1024  # octets: longer strings go as literals, which clients read without looking at each octet

_QUOTABLE = re.compile(rb"[\x20!#-\[\]-\x7e]*")  # neither quote nor backslash, and printable ASCII
_ESCAPED = re.compile(rb'(["\\])')
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_ATOM = re.compile(rb"[!#$&'+-\[^-z|}~]+")  # as astring: `]` is left out, for clients that mistake it
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


# Words


def string(octets: bytes) -> bytes:
    """A quoted string where that is possible, else a literal. Octets without NUL (else: `binary`)."""
    if len(octets) <= MAX_QUOTED:
        if _QUOTABLE.fullmatch(octets):
            return b'"%b"' % octets
        if _PRINTABLE.fullmatch(octets):
            return b'"%b"' % _ESCAPED.sub(rb"\\\1", octets)
    return b"{%d}\r\n%b" % (len(octets), octets)


def nstring(octets: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return b"NIL" if octets is None else string(octets)


def binary(octets: bytes) -> bytes:
    """A string of any octets: literal8 where NUL is among them (RFC 3516 section 4.2)."""
    return b"~{%d}\r\n%b" % (len(octets), octets) if b"\0" in octets else string(octets)


def astring(octets: bytes) -> bytes:
    """An atom where that is possible, else a string."""
    if _ATOM.fullmatch(octets) and octets.upper() != b"NIL":
        return octets
    return string(octets)


def mailbox(name: str, utf8: bool) -> bytes:
    """A mailbox name: modified UTF-7, or UTF-8 in quotes where the client enabled it."""
    if not utf8:
        return astring(utf7.encode(name))
    octets = name.encode("utf-8", "replace")
    if octets.isascii():
        return astring(octets)
    if name.isprintable():
        return b'"%b"' % _ESCAPED.sub(rb"\\\1", octets)
    return string(octets)


def flag_list(flags: Iterable[str]) -> bytes:
    """Flags in parentheses."""
    return b"(" + " ".join(flags).encode() + b")"


def date_time(seconds: int) -> bytes:
    """A date-time in quotes, in UTC, for seconds since the epoch."""
    date = datetime.fromtimestamp(seconds, UTC)
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (
        date.day,
        _MONTHS[date.month - 1],
        date.year,
        date.hour,
        date.minute,
        date.second,
    )


def numbers(values: Iterable[int]) -> bytes:
    """Numbers parted by spaces, with a space before each."""
    return b"".join(map(b" %d".__mod__, values))


# Mailboxes


def exists(count: int) -> bytes:
    """How many messages the selected mailbox has."""
    return b"* %d EXISTS\r\n" % count


def recent(count: int = 0) -> bytes:
    """For IMAP4rev1; no message is ever recent here."""
    return b"* %d RECENT\r\n" % count


def flags(known: Iterable[str]) -> bytes:
    """The flags of the selected mailbox."""
    return b"* FLAGS %b\r\n" % flag_list(known)


def listed(
    attributes: Iterable[str], name: str, utf8: bool, extended: Sequence[bytes] = (), word: bytes = b"LIST"
) -> bytes:
    """A mailbox as LIST tells it; `extended` are items like `oldname`. `word` may be LSUB."""
    more = b" (" + b" ".join(extended) + b")" if extended else b""
    return b'* %b %b "/" %b%b\r\n' % (word, flag_list(attributes), mailbox(name, utf8), more)


def delimiter(word: bytes = b"LIST") -> bytes:
    """What LIST tells of an empty pattern: the separator and the root (RFC 9051 section 6.3.9)."""
    return b'* %b (\\Noselect) "/" ""\r\n' % word


def child_info(options: Iterable[str]) -> bytes:
    """An item of LIST: children match these selection options (RFC 5258 section 3.5)."""
    return b'"CHILDINFO" (' + b" ".join(b'"%b"' % option.encode() for option in options) + b")"


def old_name(name: str, utf8: bool) -> bytes:
    """An item of LIST: the name before RENAME (RFC 5465 section 5.4)."""
    return b'"OLDNAME" (%b)' % mailbox(name, utf8)


def status(name: str, values: Iterable[tuple[StatusItem, int | str | None]], utf8: bool) -> bytes:
    """What STATUS tells; a str is an object identifier, None is NIL."""
    told = [
        b"%b %d" % (item.value, value)
        if isinstance(value, int)
        else b"%b NIL" % item.value
        if value is None
        else b"%b (%b)" % (item.value, value.encode())
        for item, value in values
    ]
    return b"* STATUS %b (%b)\r\n" % (mailbox(name, utf8), b" ".join(told))


Namespaces = Iterable[str] | None  # prefixes, which end with the separator or are empty; None for no such namespace


def namespace(personal: Namespaces, others: Namespaces, shared: Namespaces, utf8: bool) -> bytes:
    """What NAMESPACE tells."""
    parts = [_describe(prefixes, utf8) for prefixes in (personal, others, shared)]
    return b"* NAMESPACE %b\r\n" % b" ".join(parts)


def _describe(prefixes: Namespaces, utf8: bool) -> bytes:
    if prefixes is None:
        return b"NIL"
    spelled = [prefix.encode("utf-8", "replace") if utf8 else utf7.encode(prefix) for prefix in prefixes]
    return b"(" + b"".join([b'(%b "/")' % string(prefix) for prefix in spelled]) + b")"


# Messages


def expunged(number: int) -> bytes:
    """A message is gone; those behind it move up."""
    return b"* %d EXPUNGE\r\n" % number


def vanished(uids: NumberSet, earlier: bool = False) -> bytes:
    """Messages are gone, or were gone `earlier` (RFC 7162 section 3.2.10)."""
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if earlier else b"", bytes(uids))


def fetched(number: int, pieces: Iterable[bytes]) -> bytes:
    """What FETCH tells: pieces are `NAME value`."""
    return b"* %d FETCH (%b)\r\n" % (number, b" ".join(pieces))


def uid_fetched(uid: int, pieces: Iterable[bytes]) -> bytes:
    """The same where only UIDs are used (RFC 9586 section 3)."""
    return b"* %d UIDFETCH (%b)\r\n" % (uid, b" ".join(pieces))


def searched(found: Iterable[int], modseq: int | None = None, word: bytes = b"SEARCH") -> bytes:
    """The result of SEARCH, or of SORT, for IMAP4rev1; `modseq` is the highest of the messages found."""
    more = b"" if modseq is None else b" (MODSEQ %d)" % modseq
    return b"* %b%b%b\r\n" % (word, numbers(found), more)


def esearched(tag: str, pieces: Iterable[bytes], uid: bool, of: tuple[str, int, bool] | None = None) -> bytes:
    """The result of a search as ESEARCH: pieces are `NAME value`. `of` is (mailbox, UIDVALIDITY, utf8) where several
    mailboxes are searched (RFC 7377 section 2.1)."""
    where = b"" if of is None else b" MAILBOX %b UIDVALIDITY %d" % (mailbox(of[0], of[2]), of[1])
    begin = b"* ESEARCH (TAG %b%b)" % (string(tag.encode()), where)
    return b" ".join([begin, *((b"UID",) if uid else ()), *pieces]) + b"\r\n"
