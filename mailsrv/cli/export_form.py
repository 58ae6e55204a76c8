"""What the two forms of an export share: what is written of a mailbox, and the messages in the order of their UIDs.

Diagnostics: `messages` raises StorageError when the index refuses, MailboxGone when the mailbox was deleted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk
from mailsrv.system.openfile import OpenFile
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import MessageGone
from mailsrv.store.values import SYSTEM_FLAGS, MailboxInfo

_AT_ONCE = 1000  # rows
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written of one mailbox."""

    name: str
    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message, open: its row, and the names of its flags."""

    uid: int
    word: int
    flags: frozenset[str]
    received: int
    base: str
    file: OpenFile

    def pieces(self) -> Iterator[bytes]:
        """Its octets."""
        for at in range(0, self.file.size, _PIECE):
            yield self.file.read_at(at, _PIECE)


@dataclass(frozen=True, slots=True)
class Tellers:
    """Who hears of it: `step` for each message that is written; `fail`, with mailbox, UID and reason, for each that
    cannot be read."""

    step: Callable[[], None]
    fail: Callable[[str, int, str], None]


class Export(Protocol):
    """A form; `root` is a directory of its own."""

    def __init__(self, disk: Disk, root: str, tellers: Tellers) -> None: ...

    def write(self, info: MailboxInfo, box: OpenMailbox) -> Exported:
        """One mailbox."""
        ...

    def finish(self, infos: Sequence[MailboxInfo]) -> None:
        """Make everything durable that is not yet."""
        ...


def messages(box: OpenMailbox, tellers: Tellers) -> Iterator[Message]:
    """Every message, closed when the next one is asked for; those that are expunged meanwhile are left out. One that
    the disk does not give is told: the others are wanted all the more then."""
    uids = box.view()[0]
    for start in range(0, len(uids), _AT_ONCE):
        some = NumberSet.of_sorted(uids[start : start + _AT_ONCE])
        rows, keywords = box.named_rows(some, ("uid", "flags", "received", "base", "path"))
        names = {mask: name for name, mask in SYSTEM_FLAGS.items()} | dict(keywords)
        for uid, word, received, base, path in rows:
            try:
                file = box.open_path(uid, path)
                _try(file)
            except MessageGone:
                continue
            except StorageError as error:
                tellers.fail(box.name, uid, str(error))
                continue
            with file:
                flags = frozenset(name for mask, name in names.items() if word & mask)
                yield Message(uid, word, flags, received, base, file)


def _try(file: OpenFile) -> None:
    """Read a file once; raises StorageError, when it is closed."""
    try:
        for at in range(0, file.size, _PIECE):
            file.read_at(at, _PIECE)
    except StorageError:
        file.close()
        raise
