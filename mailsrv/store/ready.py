"""What is computed once from a message, so that lists of messages are fetched, searched and sorted without its file.

`compute` reads a message's octets; the rows that it gives are those of store.ready_tables. `header_fields` answers
BODY[HEADER.FIELDS (...)] from such a row. What is larger than a row holds is None there: the file tells it.

Diagnostics: raises nothing, whatever the octets are; a bug is told to who wants to hear of it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from mailsrv.mail.address_list import first_mailbox, first_name, read_addresses
from mailsrv.mail.base_subject import strip_subject
from mailsrv.mail.mime import Octets, read_structure
from mailsrv.mail.mime_header import FIELD_BODY, find_header_end, unfold
from mailsrv.mail.preview import preview
from mailsrv.mail.sent_date import SentDate, read_sent_date
from mailsrv.mail.words import decode_field
from mailsrv.imap.structure import body_structure, envelope_of, list_addresses
from mailsrv.store.folding import fold
from mailsrv.store.guard import Tell, raise_it, read_safely
from mailsrv.store.ready_tables import FIELDS, MAX_OCTETS

MAX_HEADER = 1 << 20  # octets of a header in which fields are looked for
_USUAL_HEADER = 1 << 16
_MAX_KEY = 1000  # characters of what is sorted by
_MAX_ADDRESS = 2000  # octets in which the first address of a field is looked for
_MAX_REMEMBERED = 500  # octets of a field of addresses that is worth remembering
_MAX_PARENTS = 500  # message ids that a message refers to: its nearest

_FIELD = re.compile(rb"\n([!-9;-~]++)" + FIELD_BODY)
# One as it stands, with the line end before it and without the one behind, and its name.
_ANY_FIELD = re.compile(rb"(\n([!-9;-~]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*)")
_MANY = 15  # names of fields
# (Python 3.11 does not step back out of a possessive repetition of groups that fail in their middle: none here.)
_MESSAGE_ID = re.compile(r'<((?:"(?:[^"\\<>]|\\[^<>])*"|[^<>"\s@])+@[^<>\s]++)>')
_QUOTES = re.compile(r'\\(.)|"')
# RFC 5256 sections 2.1 and 3: the marks of a reply or forward, at the beginning or the end of a subject.
_REPLY = re.compile(r"(?:\[[^\[\]]*+\]|\s)*(?:re|fwd?)\s*+(?:\[[^\[\]]*+\]\s*+)?:", re.IGNORECASE | re.ASCII)
_TRAILER = re.compile(r"\(fwd\)\s*+\Z", re.IGNORECASE)
_LISTS = re.compile(r"\s*+(?:(?!\[fwd:)\[[^\[\]]*+\]\s*+)*", re.IGNORECASE)


class ReadyRow(NamedTuple):
    """What FETCH gives, but for `content`."""

    header_size: int
    envelope: bytes | None
    structure: bytes | None
    fields: bytes | None
    preview: str | None


class SearchRow(NamedTuple):
    """What SEARCH looks at."""

    sent_day: int | None
    subject: str
    sender: str
    recipient: str
    cc: str
    bcc: str


class SortRow(NamedTuple):
    """What SORT and THREAD look at. `parents`: message ids, one a line."""

    sent: int | None
    subject: str
    is_reply: int
    from_mailbox: str
    to_mailbox: str
    cc_mailbox: str
    from_name: str
    to_name: str
    message_id: str
    parents: str


class Computed(NamedTuple):
    """The rows of one message."""

    ready: ReadyRow
    search: SearchRow
    sort: SortRow


# Of a message that not even a header can be read of: everything is asked of its file.
UNREADABLE = Computed(
    ReadyRow(0, None, None, None, None),
    SearchRow(None, "", "", "", "", ""),
    SortRow(None, "", 0, "", "", "", "", "", "", ""),
)


class _People(NamedTuple):
    """What is kept of a field of addresses: how many there are and their octets in an ENVELOPE, the folded text, and
    what the field is sorted by."""

    addresses: int
    listed: bytes
    text: str
    mailbox: str
    name: str


def compute(octets: Octets, tell: Tell = raise_it) -> Computed:
    """Everything that is kept of a message. A bug in what reads its body, or a field, is told, and costs no more than
    what was to be read: None, which the file is asked for."""
    structure = read_safely(lambda: read_structure(octets), None, tell)
    size = 0 if structure is None else structure.header.length
    header = header_of(octets) if structure is None else bytes(octets[: min(size, MAX_HEADER)])
    # All that is read below is among FIELDS, and most of a header is not.
    kept: list[bytes] = []
    values: dict[bytes, list[bytes]] = {}
    for field, name in _ANY_FIELD.findall(b"\n" + header):
        name = name.lower()
        if name in FIELDS:
            kept.append(field)
            value = field[field.index(b":") + 1 :]
            values.setdefault(name, []).append(value[:-1] if value.endswith(b"\r") else value)
    fits = size <= MAX_HEADER
    ready = ReadyRow(
        size,
        read_safely(lambda: _bounded(envelope_of(values, _listed)), None, tell) if fits else None,
        structure and read_safely(lambda: _bounded(body_structure(structure, True)), None, tell),
        _bounded(_join_fields(kept, header)) if fits else None,
        structure and read_safely(lambda: preview(octets, structure), None, tell),
    )
    dates = values.get(b"date")
    sent = read_safely(lambda: read_sent_date(dates[0]), None, tell) if dates else None
    subject = _text(values.get(b"subject"))
    return Computed(ready, _search_row(values, sent, subject), _sort_row(values, sent, subject))


def header_fields(header: bytes, names: Iterable[bytes], others: bool = False) -> bytes:
    """The fields of these names (in any letters) as they stand in a header, in its order, or all `others`; each with
    its line end, without an empty line behind them. For names among FIELDS, `fields` of a row gives what the header
    would."""
    return field_picker(names, others)(header)


def field_picker(names: Iterable[bytes], others: bool = False) -> Callable[[bytes], bytes]:
    """What `header_fields` does, for many headers."""
    wanted = frozenset(map(bytes.lower, names))
    # A pattern of many names is slower than to look each name up.
    find = None if len(wanted) > _MANY and not others else _raw_fields(wanted, others).findall

    def pick(header: bytes) -> bytes:
        if find is not None:
            found = find(b"\n" + header)
        else:
            found = [field for field, name in _ANY_FIELD.findall(b"\n" + header) if name.lower() in wanted]
        return _join_fields(found, header)

    return pick


def _join_fields(found: Sequence[bytes], header: bytes) -> bytes:
    """Fields of a header, each with the line end before it, as they stand."""
    if not found:
        return b""
    octets = b"".join(found)[1:]
    # Only a header that the end of the message cuts has a last line without an end.
    return octets + (b"\n" if octets.endswith(b"\r") or b"\r\n" not in header else b"\r\n")


def field_values(header: bytes, name: bytes) -> list[bytes]:
    """The raw values of all fields of this name (lower case) in a header."""
    return [match[2] for match in _FIELD.finditer(b"\n" + header) if match[1].lower() == name]


def header_of(octets: Octets) -> bytes:
    """The header of a message with its empty line, up to MAX_HEADER octets."""
    beginning = bytes(octets[:_USUAL_HEADER])
    end = find_header_end(beginning, 0, len(beginning))
    if end == len(beginning) == _USUAL_HEADER:
        beginning = bytes(octets[:MAX_HEADER])
        end = find_header_end(beginning, 0, len(beginning))
    return beginning[:end]


@lru_cache(maxsize=128)
def _raw_fields(names: frozenset[bytes], others: bool) -> re.Pattern[bytes]:
    """What finds fields with the line end before them, and without the one behind."""
    named = rb"(?:%b)[ \t]*+:" % b"|".join(map(re.escape, sorted(names))) if names else rb"(?!)"
    name = rb"(?!%b)[!-9;-~]++[ \t]*+:" % named if others else named
    return re.compile(rb"\n%b[^\n]*+(?:\n[ \t][^\n]*+)*" % name, re.IGNORECASE)


def is_reply(subject: str) -> bool:
    """Whether a decoded subject has the mark of a reply or forward (RFC 5256 section 3, REFERENCES)."""
    if _REPLY.match(subject) or _TRAILER.search(subject):
        return True
    marked = _LISTS.sub("", subject, count=1)
    return marked[:5].lower() == "[fwd:" and marked.rstrip().endswith("]")


def _message_ids(values: Sequence[bytes] | None) -> list[str]:
    """The message ids of a field, in its order, with what is quoted as it is without quotes (RFC 5256 section 3)."""
    if not values:
        return []
    found = _MESSAGE_ID.findall(unfold(values[0])[:MAX_OCTETS].decode("utf-8", "replace"))
    return [_QUOTES.sub(r"\1", one) if '"' in one else one for one in found]


def _bounded(octets: bytes) -> bytes | None:
    return octets if len(octets) <= MAX_OCTETS else None


def _text(values: Sequence[bytes] | None) -> str:
    """The decoded text of all fields of a name."""
    if not values:
        return ""
    return decode_field(values[0]) if len(values) == 1 else "\n".join(map(decode_field, values))


def _search_row(values: dict[bytes, list[bytes]], sent: SentDate | None, subject: str) -> SearchRow:
    texts = [_people_text(values.get(name))[:MAX_OCTETS] for name in (b"from", b"to", b"cc", b"bcc")]
    return SearchRow(None if sent is None else sent.day, fold(subject)[:MAX_OCTETS], *texts)


def _sort_row(values: dict[bytes, list[bytes]], sent: SentDate | None, subject: str) -> SortRow:
    subject = subject.partition("\n")[0][:_MAX_KEY]
    # The first of many recipients is all that is wanted.
    sender, recipient, cc = [
        _people(values[name][0][:_MAX_ADDRESS]) if name in values else _NOBODY for name in (b"from", b"to", b"cc")
    ]
    ids = _message_ids(values.get(b"message-id"))
    # References that are none count as missing (RFC 5256 section 3, REFERENCES).
    parents = _message_ids(values.get(b"references"))[-_MAX_PARENTS:] or _message_ids(values.get(b"in-reply-to"))[:1]
    return SortRow(
        sent=None if sent is None else sent.seconds,
        subject=fold(strip_subject(subject)),
        is_reply=int(is_reply(subject)),
        from_mailbox=sender.mailbox,
        to_mailbox=recipient.mailbox,
        cc_mailbox=cc.mailbox,
        from_name=sender.name,
        to_name=recipient.name,
        message_id=ids[0] if ids else "",
        parents="\n".join(parents),
    )


def _read_people(value: bytes) -> _People:
    addresses = read_addresses(value)
    count, listed = list_addresses(addresses)
    return _People(
        count,
        listed,
        fold(decode_field(value)),
        fold(first_mailbox(addresses).decode("utf-8", "replace"))[:_MAX_KEY],
        fold(first_name(addresses))[:_MAX_KEY],
    )


# Correspondents come again and again.
_read_usual_people = lru_cache(maxsize=2048)(_read_people)
_NOBODY = _People(0, b"", "", "", "")


def _people(value: bytes) -> _People:
    return _read_usual_people(value) if len(value) <= _MAX_REMEMBERED else _read_people(value)


def _listed(value: bytes) -> tuple[int, bytes]:
    people = _people(value)
    return people.addresses, people.listed


def _people_text(values: Sequence[bytes] | None) -> str:
    if not values:
        return ""
    return _people(values[0]).text if len(values) == 1 else fold(_text(values))
