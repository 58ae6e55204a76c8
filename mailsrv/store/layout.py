"""Where an account's files lie, and which directory a mailbox gets when it is created (mailsrv-store(5), FILES).

A directory's name is made from its mailbox's first name, as in Maildir++: a dot before each level, modified UTF-7 for
what is not printable ASCII, and `&AC4-` for a dot within a level, so that each name has one spelling. Should the file
`mailboxes` be lost, the names are read from the directories. Nothing is read or changed here.

Diagnostics: `check_name` and `check_own_name` raise WrongName; `check_account` ValueError.
"""

import hashlib
import re
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.imap import utf7
from mailsrv.store.account import ACCOUNTS
from mailsrv.store.refusals import WrongName
from mailsrv.store.values import INBOX

INDEX = "index.sqlite3"
INDEX_LOCK = "index.lock"
MAILBOXES = "mailboxes"
MAILBOXES_LOCK = "mailboxes.lock"
REMOVED = "removed."  # before the id of a deleted mailbox, as name of its directory until that is removed
SEPARATOR = "/"

OTHERS = "Other Users"  # what others share is seen below it, so that nobody has mailboxes of that name
BELOW_OTHERS = OTHERS + SEPARATOR

MAX_NAME = 512  # octets of a mailbox's name
MAX_LEVELS = 32
_MAX_DIRECTORY = 200  # octets of a directory's name: 255 less what makes it different from another

_DOT = "&AC4-"
# Control characters of both halves, and the separators of lines and paragraphs (RFC 9051 section 5.1, RFC 5198).
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one account. `root` is its Maildir."""

    root: str

    @classmethod
    def of(cls, data_dir: str, account: str) -> "Layout":
        """Where `account` lies; raises ValueError for what is no account's name, as it might lead elsewhere."""
        if not _ACCOUNT.fullmatch(account):
            raise ValueError(f"{account!r} is not the name of an account")
        return cls(f"{data_dir}/{ACCOUNTS}/{account}")

    @property
    def index(self) -> str:
        return f"{self.root}/{INDEX}"

    @property
    def index_lock(self) -> str:
        return f"{self.root}/{INDEX_LOCK}"

    @property
    def mailboxes(self) -> str:
        return f"{self.root}/{MAILBOXES}"

    @property
    def mailboxes_lock(self) -> str:
        return f"{self.root}/{MAILBOXES_LOCK}"

    def path(self, directory: str) -> str:
        """The Maildir of a mailbox's directory; "." is INBOX's, the account's own."""
        return self.root if directory == "." else f"{self.root}/{directory}"


def normalize(name: str) -> str:
    """INBOX in any letters is INBOX, also as the highest level of others (RFC 9051 section 5.1)."""
    first, slash, rest = name.partition(SEPARATOR)
    return f"{INBOX}{slash}{rest}" if first.upper() == INBOX else name


def check_name(name: str) -> None:
    """Raise WrongName for what no mailbox can be called; the name is normalized."""
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise WrongName(f"a mailbox's name has 1 to {MAX_NAME} octets")
    levels = name.split(SEPARATOR)
    if not all(levels) or len(levels) > MAX_LEVELS:
        raise WrongName(f"a mailbox's name has up to {MAX_LEVELS} levels with one / between them, and none is empty")
    if _SURROGATE.search(name):
        raise WrongName("a mailbox's name is UTF-8")  # octets of a command's argument that are not
    if _FORBIDDEN.search(name):
        raise WrongName("a mailbox's name has no control characters")
    if name.startswith("#"):
        raise WrongName("names that begin with # are not for mailboxes")


def check_own_name(name: str) -> None:
    """Raise WrongName for what no mailbox of an account can be called: also for names that are those of others'."""
    check_name(name)
    if is_of_others(name):
        raise WrongName(f"names below {OTHERS} are those of mailboxes of other accounts")


def is_of_others(name: str) -> bool:
    """Whether a name is one of other accounts' mailboxes, or of what is above them."""
    return name == OTHERS or name.startswith(BELOW_OTHERS)


def parents(name: str) -> list[str]:
    """The names above a name, highest first: a/b/c gives a and a/b."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:count]) for count in range(1, len(levels))]


def directory_of(name: str, taken: frozenset[str] | set[str] = frozenset()) -> str:
    """A directory for a new mailbox of this name, other than those `taken`."""
    parts = [utf7.encode(level).decode("ascii").replace(".", _DOT) for level in name.split(SEPARATOR)]
    directory = "." + ".".join(parts)
    if len(directory) > _MAX_DIRECTORY:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        directory = f"{directory[: _MAX_DIRECTORY - 17].rstrip('.')}-{digest}"
    number = 1
    found = directory
    while found in taken:
        number += 1
        found = f"{directory}-{number}"
    return found


def name_of(directory: str, taken: frozenset[str] | set[str] = frozenset()) -> str:
    """A name for a directory that somebody else has made, other than those `taken`."""
    levels = [_decode(part) for part in directory[1:].split(".")]
    name = normalize(SEPARATOR.join(level for level in levels if level) or "?")
    try:
        check_name(name)
    except WrongName:
        name = f"?{hashlib.sha256(directory.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    number = 1
    found = name
    while found in taken or found == INBOX:
        number += 1
        found = f"{name}-{number}"
    return found


def _decode(level: str) -> str:
    try:
        return ".".join(utf7.decode(part.encode("utf-8")).replace(SEPARATOR, "_") for part in level.split(_DOT))
    except (GrammarError, UnicodeEncodeError):
        # Not ours: other programs write UTF-8.
        return _FORBIDDEN.sub("?", level)
