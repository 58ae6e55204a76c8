"""Appending: octets become a message of a mailbox, durably (mailsrv-store(5), CHANGES).

The octets are synced first, without a lock. Within the transaction each file gets its name in cur/, flags included; the
directory is synced; then come the rows and the commit. A crash in between leaves a file that is adopted, though nobody
was told of it.

Diagnostics: OverQuota, TooMany (UIDs, keywords), MailboxGone, StorageError; no name is left behind.
"""

from collections.abc import Sequence

from mailsrv.system import entropy
from mailsrv.system.disk import Missing
from mailsrv.store.adopt import own_change
from mailsrv.store.index import Index, Key, Writing
from mailsrv.store.keywords import flag_words
from mailsrv.store.message import base_name, tail_with
from mailsrv.store.refusals import MailboxGone, OverQuota
from mailsrv.store.rows import CUR, LEAVES, Found, insert
from mailsrv.store.values import Incoming, Usage


def append(index: Index, key: Key, messages: Sequence[Incoming], limits: Usage) -> list[int]:
    """Add messages, all or none; gives their UIDs. The files are closed, whatever happens."""
    try:
        for message in messages:
            message.file.sync()
        return _commit(index, key, messages, limits)
    except Missing as error:
        raise MailboxGone("the mailbox is just being deleted") from error
    finally:
        for message in messages:
            message.file.close()


def _commit(index: Index, key: Key, messages: Sequence[Incoming], limits: Usage) -> list[int]:
    unique = entropy.octets(8).hex()
    with index.write() as writing:
        row = writing.mailbox(key)
        check_room(writing, limits, sum(message.file.size for message in messages), len(messages))
        directory = f"{index.path(row)}/{LEAVES[CUR]}"
        found: list[Found] = []
        now = index.clock.now()
        made = writing.made
        with own_change(index, writing, row):
            words = flag_words(writing, row.id, [message.flags for message in messages])
            for number, (message, flags) in enumerate(zip(messages, words, strict=True)):
                received = int(now) if message.received is None else message.received
                base = base_name(now, f"{unique}{number}", message.file.size, index.hostname)
                entry = Found(base, CUR, tail_with("", flags), flags, message.file.size, 0, received)
                message.file.link(directory, base + entry.tail)
                made.append(f"{index.path(row)}/{entry.path}")
                found.append(entry)
                if message.received is not None:
                    # What a later index takes the internal date from.
                    index.disk.set_time(made[-1], received)
            if made and not index.disk.exists(made[-1]):
                # The disk door has a directory open that is elsewhere by now.
                raise Missing(f"{made[-1]}: its mailbox was deleted")
            index.disk.sync_directory(directory)
            return insert(writing, row, found, now)


def check_room(writing: Writing, limits: Usage, octets: int, messages: int) -> None:
    """Raise OverQuota when the account may not store so much more."""
    if limits.octets or limits.messages:
        used, count = writing.execute("SELECT octets, messages FROM account").fetchall()[0]
        if limits.octets and used + octets > limits.octets:
            raise OverQuota("the account has no room for so many octets")
        if limits.messages and count + messages > limits.messages:
            raise OverQuota("the account has no room for so many messages")
