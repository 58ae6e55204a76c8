"""Arguments of the commands on whole mailboxes: SELECT, CREATE, RENAME, STATUS and their kin (RFC 9051 section 6.3, RFC
7162 section 3.2.5, RFC 6154 section 3).

Diagnostics: readers raise GrammarError with what was expected.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal, bad
from mailsrv.imap.grammar import read_mailbox, read_modseq, read_uids, read_uidvalidity
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import FLAG, Cursor


class StatusItem(Enum):
    """What STATUS may ask for (RFC 9051 section 6.3.11, RFC 3501, RFC 7162, RFC 8474, RFC 7889, RFC 9208)."""

    MESSAGES = b"MESSAGES"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    DELETED = b"DELETED"
    SIZE = b"SIZE"
    RECENT = b"RECENT"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    MAILBOXID = b"MAILBOXID"
    APPENDLIMIT = b"APPENDLIMIT"
    DELETED_STORAGE = b"DELETED-STORAGE"

    __hash__ = object.__hash__  # members are single: by identity, in C


STATUS_ITEMS = {item.value: item for item in StatusItem}

# Special uses that a mailbox may be created for (RFC 6154 section 2, RFC 8457), in the order of their names.
SPECIAL_USES = {
    use.upper().encode(): use
    for use in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash")
}


@dataclass(frozen=True, slots=True)
class Qresync:
    """What the client knows (RFC 7162 section 3.2.5): `known_uids` of its messages, or None; `matches` are numbers and
    their UIDs, of equal count, or None."""

    uidvalidity: int
    modseq: int
    known_uids: NumberSet | None = None
    matches: tuple[NumberSet, NumberSet] | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT, or EXAMINE where `read_only`."""

    mailbox: str
    read_only: bool = False
    condstore: bool = False
    qresync: Qresync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """CREATE; a separator behind the name is left to floor 4. `uses` as SPECIAL_USES spells them, or as sent."""

    mailbox: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME."""

    mailbox: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE, or UNSUBSCRIBE where not `subscribed`."""

    mailbox: str
    subscribed: bool


@dataclass(frozen=True, slots=True)
class AskStatus:
    """STATUS: the items in the order of the question, each once."""

    mailbox: str
    items: tuple[StatusItem, ...]


def read_select(cursor: Cursor, situation: Situation, read_only: bool = False) -> Select:
    """SELECT mailbox [(CONDSTORE QRESYNC (...))]."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    if cursor.at_end:
        return Select(mailbox, read_only)
    cursor.expect_space("a list of parameters")
    parameters = dict(cursor.expect_list(_read_select_parameter, "parameters", 10))
    cursor.expect_end()
    qresync = parameters.get("qresync")
    if qresync is not None and "QRESYNC" not in situation.enabled:
        raise Refusal(bad("QRESYNC needs ENABLE QRESYNC first"))
    if qresync is not None and qresync.matches is not None and situation.uid_only:
        raise Refusal(bad("message numbers are not used behind ENABLE UIDONLY", "UIDREQUIRED"))
    return Select(mailbox, read_only, "condstore" in parameters, qresync)


def _read_select_parameter(cursor: Cursor) -> tuple[str, Qresync | None]:
    start = cursor.at
    name = cursor.expect_word("CONDSTORE or QRESYNC")
    if name == b"CONDSTORE":
        return "condstore", None
    if name != b"QRESYNC":
        cursor.at = start
        raise cursor.fault("CONDSTORE or QRESYNC")
    cursor.expect_octets(b" (", "a list of what is known")
    uidvalidity = read_uidvalidity(cursor)
    cursor.expect_space("a mod-sequence")
    modseq = read_modseq(cursor)
    known, matches = None, None
    if cursor.try_octets(b" "):
        if not cursor.peek(b"("):
            known = read_uids(cursor)
        if known is None or cursor.try_octets(b" "):
            matches = _read_matches(cursor)
    cursor.expect_octets(b")", "the end of the list of what is known")
    return "qresync", Qresync(uidvalidity, modseq, known, matches)


def _read_matches(cursor: Cursor) -> tuple[NumberSet, NumberSet]:
    cursor.expect_octets(b"(", "a list of numbers and UIDs")
    numbers = read_uids(cursor)
    cursor.expect_space("a set of UIDs")
    uids = read_uids(cursor)
    cursor.expect_octets(b")", "the end of the list of numbers and UIDs")
    if len(numbers) != len(uids):
        raise GrammarError("expected as many UIDs as numbers")
    return numbers, uids


def read_create(cursor: Cursor, situation: Situation) -> Create:
    """CREATE mailbox [(USE (\\Use ...))]."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    uses: tuple[str, ...] = ()
    if not cursor.at_end:
        cursor.expect_octets(b" (", "a list of parameters")
        if not cursor.try_word(b"USE"):
            raise cursor.fault("USE")
        cursor.expect_space("a list of special uses")
        uses = tuple(dict.fromkeys(cursor.expect_list_or_empty(_read_use, "special uses", 20)))
        cursor.expect_octets(b")", "the end of the parameters")
        cursor.expect_end()
    return Create(mailbox, uses)


def _read_use(cursor: Cursor) -> str:
    if not cursor.peek(b"\\"):
        raise cursor.fault("a special use like \\Sent")
    octets = cursor.expect_pattern(FLAG, "a special use like \\Sent")
    return SPECIAL_USES.get(octets.upper()) or octets.decode()


def read_one_mailbox(cursor: Cursor) -> str:
    """The only argument of a command."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_end()
    return mailbox


def read_delete(cursor: Cursor, situation: Situation) -> Delete:
    """DELETE mailbox."""
    return Delete(read_one_mailbox(cursor))


def read_subscribe(cursor: Cursor, situation: Situation, subscribed: bool = True) -> Subscribe:
    """SUBSCRIBE or UNSUBSCRIBE mailbox."""
    return Subscribe(read_one_mailbox(cursor), subscribed)


def read_rename(cursor: Cursor, situation: Situation) -> Rename:
    """RENAME mailbox mailbox."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_space("the new mailbox name")
    new_name = read_mailbox(cursor)
    cursor.expect_end()
    return Rename(mailbox, new_name)


def read_status(cursor: Cursor, situation: Situation) -> AskStatus:
    """STATUS mailbox (item ...)."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_space("a list of status items")
    items = read_status_items(cursor)
    cursor.expect_end()
    return AskStatus(mailbox, items)


def read_status_items(cursor: Cursor) -> tuple[StatusItem, ...]:
    """(item ...), at least one."""
    return tuple(dict.fromkeys(cursor.expect_list(_read_status_item, "status items", 30)))


def _read_status_item(cursor: Cursor) -> StatusItem:
    return cursor.expect_choice(STATUS_ITEMS, "a status item like MESSAGES")
