"""What an import reads from: mailboxes and their messages, whatever they lie in; and the names that they get here.

Values, and the rules by which the name of a mailbox elsewhere becomes one of ours. Nothing is read or changed here.

Diagnostics: Unreadable is raised by the pieces of a message that cannot be read: the import goes on with the next one;
SourceLost by a source that cannot go on for now. `clean_name` raises nothing.
"""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from mailsrv.errors import MailsrvError
from mailsrv.store.layout import MAX_LEVELS, MAX_NAME, SEPARATOR, is_of_others, normalize
from mailsrv.store.values import INBOX

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# RFC 9051 section 9: what a keyword cannot have.
_KEYWORD = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|}~\[]{1,128}", re.ASCII)
_SYSTEM = {name.lower(): name for name in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}

# What mail programs and servers call the mailboxes that have a special use, where they do not say so otherwise.
USES_BY_NAME = {
    "archive": "\\Archive", "archives": "\\Archive", "archiv": "\\Archive",
    "drafts": "\\Drafts", "draft": "\\Drafts", "entwürfe": "\\Drafts", "brouillons": "\\Drafts",
    "junk": "\\Junk", "spam": "\\Junk", "junk e-mail": "\\Junk", "junk email": "\\Junk", "bulk mail": "\\Junk",
    "sent": "\\Sent", "sent items": "\\Sent", "sent messages": "\\Sent", "sent mail": "\\Sent", "sent-mail": "\\Sent",
    "gesendet": "\\Sent", "gesendete elemente": "\\Sent", "gesendete objekte": "\\Sent",
    "trash": "\\Trash", "deleted items": "\\Trash", "deleted messages": "\\Trash", "papierkorb": "\\Trash",
    "gelöschte elemente": "\\Trash", "corbeille": "\\Trash",
}  # fmt: skip


class Unreadable(MailsrvError):
    """One message cannot be read; the text says why."""


class SourceLost(MailsrvError):
    """Nothing can be read for now; what was taken stays."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A mailbox of a source. `name` is what it is called here (levels parted by "/"), `key` what the source knows it
    by, `special_use` one of mailsrv.store.values.SPECIAL_USES or "", `count` its messages (0: not known). `is_view`: it
    shows messages of other mailboxes once more."""

    name: str
    key: str
    special_use: str = ""
    subscribed: bool = True
    count: int = 0
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A message of a source.

    `key`: by which it is known again, "" when only its octets tell; `label`: how people find it; `flags`: system flags
    and keywords by name; `received`: internal date (None: now); `pieces`: its octets in any line ends, to be read
    before the next message is asked for, None for a message whose key was known.
    """

    key: str
    label: str
    flags: frozenset[str]
    received: int | None
    pieces: Iterator[bytes] | None


class Source(Protocol):
    """`kind` and `identity` tell one source from another."""

    @property
    def kind(self) -> str: ...

    @property
    def identity(self) -> str: ...

    def mailboxes(self) -> list[Origin]:
        """Every mailbox."""
        ...

    def items(self, origin: Origin, known: Container[str]) -> Iterator[Item]:
        """Every message of a mailbox; of those whose key is `known` the octets are not read. Raises SourceLost."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def clean_flags(flags: Iterable[str]) -> frozenset[str]:
    """The flags that a message can have here: five of the system's, and keywords."""
    return frozenset(
        _SYSTEM.get(flag.lower(), flag) for flag in flags if flag.lower() in _SYSTEM or _KEYWORD.fullmatch(flag)
    )


def clean_name(levels: Iterable[str]) -> str:
    """A name that a mailbox can have here, as near as can be to these levels; "" for none."""
    cleaned = [_CONTROLS.sub("_", level).replace(SEPARATOR, "_").strip() for level in levels]
    name = SEPARATOR.join([level for level in cleaned if level][:MAX_LEVELS])
    if name.startswith("#"):
        name = "_" + name[1:]
    elif is_of_others(name):
        name = "_" + name  # what lies below it is what others share
    return normalize(name.encode()[:MAX_NAME].decode("utf-8", "ignore").rstrip(SEPARATOR))


def use_of(name: str) -> str:
    """The special use that the name of a mailbox, at the highest level or below INBOX, suggests."""
    return USES_BY_NAME.get(name.removeprefix(f"{INBOX}/").lower(), "")


def distinct(origins: Iterable[Origin]) -> list[Origin]:
    """The same with each name once, INBOX first; where two would be one mailbox, the second gets a number."""
    found: dict[str, Origin] = {}
    numbers: dict[str, int] = {}  # the last one that a name got
    for origin in sorted(origins, key=lambda origin: (origin.name != INBOX, origin.name, origin.key)):
        name = origin.name
        while name in found:
            numbers[origin.name] = numbers.get(origin.name, 1) + 1
            name = f"{origin.name}-{numbers[origin.name]}"
        found[name] = replace(origin, name=name)
    return list(found.values())
