"""Whether an account's index, files and counts agree, and how they are brought to (`mailsrv verify`), while others use
it.

Files are the truth about messages, the file `mailboxes` about names, the index about the rest. What cannot be read is
set aside under another name and made anew from what is there: messages, mailboxes and the system flags in the names of
files. UIDVALIDITY is raised then, and keywords are lost. No message is ever deleted: one whose file has other octets
than it had is another message, and gets another UID (store/verify_files).

What a process that was killed has left for idle moments is no fault, and is done first.

Diagnostics: `check` raises nothing, `repair` StorageError when the file `mailboxes` cannot be set aside; all else is
among what they give, a sentence each.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from mailsrv.errors import StorageError
from mailsrv.system.disk import Missing
from mailsrv.store import places
from mailsrv.store.adopt import refresh
from mailsrv.store.database import Damaged
from mailsrv.store.index import Index, Key
from mailsrv.store.mailboxes import Mailboxes
from mailsrv.store.refusals import MailboxGone, NoMailbox, StoreRefusal
from mailsrv.store.rows import LEAVES
from mailsrv.store.values import MailboxInfo
from mailsrv.store.verify_files import Files, find_doubles
from mailsrv.store.verify_place import find_debris, find_wrong_count, find_wrong_texts, find_wrong_values
from mailsrv.store.verify_tables import find_faults, mend_faults

Told = Callable[[int], None]


class Repairs(NamedTuple):
    """A sentence for each thing that was made right, and for each that could not be."""

    done: list[str]
    left: list[str]


def silent(count: int) -> None:
    """Nobody wants to know how far it is."""


def check(index: Index, mailboxes: Mailboxes, quick: bool = False, told: Told = silent) -> list[str]:
    """What is wrong, a sentence each; new messages are adopted by the way, nothing else is changed. `quick`: files are
    not read, their sizes are looked at. `told` hears of so many more messages that were looked at."""
    found = []
    try:
        # One by one: what was found before the disk refuses is told too.
        for text in _survey(index, mailboxes, Files(index, quick, False, told), quick, False):
            found.append(text)
    except StorageError as error:
        found.append(str(error))
    return found


def repair(index: Index, mailboxes: Mailboxes, quick: bool = False, told: Told = silent) -> Repairs:
    """Make right what `check` finds, as far as that is possible."""
    done = []
    left: list[str] = []
    try:
        mailboxes.load()
    except Missing:
        raise
    except StorageError as error:
        done.append(f"{error}: set aside as {mailboxes.set_aside()}, names are read from the directories")
    for _ in range(2):
        files = Files(index, quick, True, told)
        try:
            for text in _survey(index, mailboxes, files, quick, True):
                done.append(f"repaired: {text}")
        except Damaged as damaged:
            if index.database.set_aside(damaged, f"{index.layout.index}.damaged"):
                done.append(f"{damaged}: set aside as {index.layout.index}.damaged, and made anew")
            continue
        except StorageError as error:
            left.append(str(error))
        left += files.unreadable
        break
    return Repairs(done, left)


def _survey(index: Index, mailboxes: Mailboxes, files: Files, quick: bool, mend: bool) -> Iterator[str]:
    yield from _check_database(index, quick, mend)
    places.forget_strangers(index, mailboxes)
    lines = [line for line in mailboxes.load() if line.exists]
    names = {line.directory: line.name for line in lines}
    yield from find_wrong_count(index, names, lambda: _adopt(index, mailboxes), mend)
    yield from (mend_faults if mend else find_faults)(index, names)
    for line in lines:
        yield from _check_mailbox(index, mailboxes, line, files, mend)
    yield from find_doubles(index, mend)
    yield from find_debris(index, names, mend)
    yield from find_wrong_texts(index, mend)
    if not mend:
        yield from find_wrong_values(index)


def _check_database(index: Index, quick: bool, mend: bool) -> Iterator[str]:
    """What SQLite finds; its own indexes can be made anew, for all else the file is set aside."""
    statement = f"PRAGMA {'quick_check' if quick else 'integrity_check'}(20)"
    found = [text for (text,) in index.read(statement) if text != "ok"]
    if found and mend:
        with suppress(Damaged), index.write() as writing:
            writing.execute("REINDEX")
        if left := [text for (text,) in index.read(statement) if text != "ok"]:
            stamp = index.disk.stamp(index.layout.index)
            raise Damaged(f"{index.layout.index}: {left[0]}", stamp.inode if stamp else 0)
    for text in found:
        yield f"{index.layout.index}: {text}"


def _check_mailbox(index: Index, mailboxes: Mailboxes, line: MailboxInfo, files: Files, mend: bool) -> Iterator[str]:
    for attach in (places.attach, places.repair):
        try:
            _, row = attach(index, mailboxes, line.name)
            key = Key(row.id, row.uidvalidity)
            refresh(index, key, force=True)
            yield from files.survey(line.name, key)
            return
        except NoMailbox:
            return  # it was deleted just now
        except MailboxGone:
            path = index.layout.path(line.directory)
            gone = [leaf for leaf in LEAVES if not index.disk.exists(f"{path}/{leaf}")]
            if not gone or not any(one.directory == line.directory for one in mailboxes.load()):
                return
            if attach is places.attach:
                yield f"{line.name}: has no {' and no '.join(f'{path}/{leaf}' for leaf in gone)}"
            if not mend:
                return


def _adopt(index: Index, mailboxes: Mailboxes) -> None:
    """Take in what was delivered."""
    for line in mailboxes.load():
        if line.exists:
            with suppress(StoreRefusal):  # deleted just now
                _, row = places.attach(index, mailboxes, line.name)
                refresh(index, Key(row.id, row.uidvalidity), force=True)
