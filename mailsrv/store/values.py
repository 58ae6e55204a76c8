"""What a reader of an account asks with and is told: flag words, mailboxes, their status, what changed.

Values only, nothing is read or changed here. A flag word is one int a message: bits 0 to 4 are the system flags of RFC
9051 section 2.3.2, bits 8 to 62 keywords of the message's mailbox, by that mailbox's own table. Dates are seconds since
the epoch. A modseq is of the account: one counter for all its mailboxes (RFC 7162).

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.system.disk import UnnamedFile
from mailsrv.imap.numbers import EMPTY, NumberSet

SEEN = 1
ANSWERED = 2
FLAGGED = 4
DELETED = 8
DRAFT = 16

SYSTEM_FLAGS = {"\\Seen": SEEN, "\\Answered": ANSWERED, "\\Flagged": FLAGGED, "\\Deleted": DELETED, "\\Draft": DRAFT}
SYSTEM = SEEN | ANSWERED | FLAGGED | DELETED | DRAFT

FIRST_KEYWORD = 8  # bit of the first keyword
LAST_KEYWORD = 62  # and of the last one: SQLite's integers have a sign
EVERY_FLAG = (1 << LAST_KEYWORD + 1) - 1
KEYWORDS = LAST_KEYWORD - FIRST_KEYWORD + 1  # of one mailbox at most

INBOX = "INBOX"

# What may be done with a mailbox (RFC 4314 section 2.1), in the order in which it is told: see it in lists, read it,
# keep Seen, write other flags, insert, post, create below, delete it, mark as Deleted, expunge, administer.
EVERY_RIGHT = "lrswipkxtea"

# RFC 6154 section 2 and RFC 8457: each belongs to one mailbox of an account at most.
SPECIAL_USES = ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """A mailbox by its name in Unicode (levels parted by "/"), INBOX always INBOX; or a name that is only subscribed
    (`exists` is False; it has neither directory nor id). `special_use`: one of SPECIAL_USES or "". `mailboxid`: the
    object id of RFC 8474, which stays when it is renamed. `uidvalidity` 0: nobody has looked into it yet."""

    name: str
    exists: bool = True
    subscribed: bool = False
    special_use: str = ""
    mailboxid: str = ""
    directory: str = ""
    uidvalidity: int = 0


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """The counters of one mailbox (RFC 9051 section 6.3.11); `octets` of all its messages (SIZE)."""

    messages: int
    unseen: int
    deleted: int
    octets: int
    uidnext: int
    uidvalidity: int
    highestmodseq: int
    mailboxid: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account stores, or may store at most (0: no limit): octets and messages of all its mailboxes."""

    octets: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed after a modseq: messages new or with other flags as (uid, flag word, modseq), ascending; UIDs that
    are gone. More may be told than changed, never less. `highestmodseq` is what to ask with the next time."""

    highestmodseq: int
    uidnext: int
    flags: list[tuple[int, int, int]]
    vanished: NumberSet = EMPTY


class Operation(Enum):
    """What STORE does with the flags it names (RFC 9051 section 6.4.6)."""

    ADD = "+FLAGS"
    REMOVE = "-FLAGS"
    REPLACE = "FLAGS"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a STORE did: how many messages have other flags now, the UIDs that were changed after UNCHANGEDSINCE (RFC
    7162 section 3.1.3), and the modseq of those changed (the account's newest where nothing was). Exactly the messages
    changed here have this modseq. `before`: the mailbox's highest modseq until then, so that who knew a lower one knows
    that others were faster."""

    changed: int
    failed: NumberSet
    modseq: int
    before: int = 0


@dataclass(frozen=True, slots=True)
class NamedFlags:
    """Flags to be set or cleared: a word of system flags, and keywords by name, in any letters. With `besides`: all of
    this flag word but them. Names become bits when they are used: see mailsrv.store.keywords."""

    system: int
    keywords: tuple[str, ...] = ()
    besides: int = 0


def limit(flags: int | NamedFlags, settable: int) -> int | NamedFlags:
    """Those flags that the flag word `settable` allows; keywords are allowed all or none."""
    if isinstance(flags, int):
        return flags & settable
    return NamedFlags(flags.system & settable, flags.keywords if settable >> FIRST_KEYWORD else (), flags.besides)


def is_any(flags: int | NamedFlags) -> bool:
    """Whether there are any at all."""
    return bool(flags if isinstance(flags, int) else flags.system or flags.keywords)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message to be appended: its octets, complete, in a file from OpenMailbox.new_file (append closes it), its
    flags, and the internal date (None: now)."""

    file: UnnamedFile
    flags: int | NamedFlags = 0
    received: int | None = None
