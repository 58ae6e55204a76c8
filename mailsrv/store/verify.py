"""Whether an account's index, files and counts agree, and how they are brought to (`mailsrv verify`), while others use
it.

Files are the truth about messages, the file `mailboxes` about names, the index about the rest. What cannot be read is
set aside under another name and made anew from what is there: messages, mailboxes and the system flags in the names of
files. UIDVALIDITY is raised then, and keywords are lost. A message whose file has another size than it had is another
message, and gets another UID.

Diagnostics: `check` and `repair` raise StorageError only when the disk refuses; what is wrong with the account is what
they give, a sentence each.
"""

from collections.abc import Iterator

from mailsrv.errors import StorageError
from mailsrv.system.disk import Missing
from mailsrv.store.adopt import refresh
from mailsrv.store.database import Damaged
from mailsrv.store.index import Index, Key, MailboxRow
from mailsrv.store.mailboxes import Mailboxes
from mailsrv.store.places import attach, find_strangers, forget_strangers
from mailsrv.store.rows import GONE, LEAVES, Gone, forget
from mailsrv.store.values import DELETED, SEEN

_COUNTED = (
    f"SELECT count(*), coalesce(sum(flags & {SEEN} = 0), 0), coalesce(sum(flags & {DELETED} <> 0), 0),"
    " coalesce(sum(size), 0), coalesce(max(uid), 0), coalesce(max(modseq), 0) FROM message WHERE mailbox = ?"
)
_COPIES = (
    "SELECT c.id, c.copies, (SELECT count(*) FROM removal WHERE content = c.id) + coalesce(m.number, 0) AS wanted"
    " FROM content AS c LEFT JOIN (SELECT content, count(*) AS number FROM message GROUP BY content) AS m"
    " ON m.content = c.id WHERE c.copies <> wanted"
)
_ORPHANS = "SELECT count(*) FROM message WHERE content NOT IN (SELECT id FROM content)"


def check(index: Index, mailboxes: Mailboxes) -> list[str]:
    """What is wrong, a sentence each; new messages are adopted by the way. Nothing else is changed."""
    try:
        return list(_find(index, mailboxes))
    except StorageError as error:
        return [str(error)]


def _find(index: Index, mailboxes: Mailboxes) -> Iterator[str]:
    lines = mailboxes.load()
    for (text,) in index.read("PRAGMA quick_check(20)"):
        if text != "ok":
            yield f"{index.layout.index}: {text}"
    for line in lines:
        if line.exists:
            info, row = attach(index, mailboxes, line.name)
            refresh(index, Key(row.id, row.uidvalidity), force=True)
            yield from _check_mailbox(index, info.name, index.mailbox(Key(row.id, row.uidvalidity)))
    for content, copies, wanted in index.read(_COPIES):
        yield f"content {content} counts {copies} copies, and there are {wanted}"
    for (number,) in index.read(_ORPHANS):
        if number:
            yield f"{number} messages have no content"
    totals = index.read("SELECT octets, messages FROM account")[0]
    wanted = index.read("SELECT coalesce(sum(octets), 0), coalesce(sum(messages), 0) FROM mailbox")[0]
    if totals != wanted:
        yield f"the account counts {totals[0]} octets in {totals[1]} messages, its mailboxes {wanted[0]} in {wanted[1]}"
    for directory in find_strangers(index, mailboxes.load()):
        yield f"{directory}: has rows, and is no mailbox"


def _check_mailbox(index: Index, name: str, row: MailboxRow) -> Iterator[str]:
    counted = index.read(_COUNTED, (row.id,))[0]
    says = (row.messages, row.unseen, row.deleted, row.octets)
    for what, one, other in zip(("messages", "unseen", "deleted", "octets"), says, counted, strict=False):
        if one != other:
            yield f"{name}: {what}: counts {one}, and there are {other}"
    if counted[4] >= row.uidnext:
        yield f"{name}: has UID {counted[4]}, and the next is to be {row.uidnext}"
    if counted[5] > row.highestmodseq:
        yield f"{name}: has modseq {counted[5]}, and the highest is said to be {row.highestmodseq}"
    for message, size in _other_sizes(index, row):
        if size is None:
            yield f"{name}: UID {message.uid}: its file {message.base}{message.tail} is gone"
        else:
            yield f"{name}: UID {message.uid}: its file has {size} octets, and had {message.size}"


def _other_sizes(index: Index, row: MailboxRow) -> Iterator[tuple[Gone, int | None]]:
    """Messages whose files do not have the size that they had, with what they have (None: no file)."""
    path = index.path(row)
    for values in index.read(f"SELECT {GONE} FROM message WHERE mailbox = ?", (row.id,)):
        message = Gone(*values)
        stamp = index.disk.stamp(f"{path}/{LEAVES[message.leaf]}/{message.base}{message.tail}")
        if stamp is None or stamp.size != message.size:
            yield message, None if stamp is None else stamp.size


def repair(index: Index, mailboxes: Mailboxes) -> list[str]:
    """Make right what `check` finds; gives what was done, a sentence each."""
    done = []
    try:
        mailboxes.load()
    except Missing:
        raise
    except StorageError as error:
        done.append(f"{error}: set aside as {mailboxes.set_aside()}, names are read from the directories")
    for _ in range(2):
        try:
            return done + _repair(index, mailboxes)
        except Damaged as damaged:
            if index.database.set_aside(damaged, f"{index.layout.index}.damaged"):
                done.append(f"{damaged}: set aside as {index.layout.index}.damaged, and made anew")
    return done


def _repair(index: Index, mailboxes: Mailboxes) -> list[str]:
    complaints = list(_find(index, mailboxes))
    for text in complaints:
        if text.startswith(f"{index.layout.index}: "):
            stamp = index.disk.stamp(index.layout.index)
            raise Damaged(text, stamp.inode if stamp else 0)
    if not complaints:
        return []
    forget_strangers(index, mailboxes)
    for (directory,) in index.read("SELECT directory FROM mailbox"):
        row = index.find(directory)
        if row is not None:
            _repair_mailbox(index, row)
    with index.write() as writing:
        for content, _, wanted in writing.execute(_COPIES).fetchall():
            writing.execute("UPDATE content SET copies = ? WHERE id = ?", (wanted, content))
        writing.release_contents([content for (content,) in writing.execute("SELECT id FROM content WHERE copies = 0")])
        writing.execute(
            "UPDATE account SET octets = (SELECT coalesce(sum(octets), 0) FROM mailbox),"
            " messages = (SELECT coalesce(sum(messages), 0) FROM mailbox)"
        )
    return [f"repaired: {text}" for text in complaints]


def _repair_mailbox(index: Index, row: MailboxRow) -> None:
    key = Key(row.id, row.uidvalidity)
    with index.write() as writing:
        row = writing.mailbox(key)
        other = [message for message, _ in _other_sizes(index, row)]
        orphans = writing.execute(
            f"SELECT {GONE} FROM message WHERE mailbox = ? AND content NOT IN (SELECT id FROM content)", (row.id,)
        )
        other += [message for values in orphans if (message := Gone(*values)) not in other]
        if other:
            forget(writing, row, other)
        messages, unseen, deleted, octets, uid, modseq = writing.execute(_COUNTED, (row.id,)).fetchall()[0]
        writing.execute(
            "UPDATE mailbox SET messages = ?, unseen = ?, deleted = ?, octets = ?, uidnext = max(uidnext, ? + 1),"
            " highestmodseq = max(highestmodseq, ?), new_time = 0, cur_time = 0 WHERE id = ?",
            (messages, unseen, deleted, octets, uid, modseq, row.id),
        )
        writing.execute("UPDATE account SET modseq = max(modseq, ?)", (modseq,))
    refresh(index, key, force=True)
