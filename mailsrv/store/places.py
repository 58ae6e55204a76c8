"""Mailboxes come, go and change their names: directories and lines of the file `mailboxes`, in an order that survives.

Create: directories, durably; then the line. Delete: the directory gets a name that is no mailbox's, durably, which
decides it; then the line goes, then the rows; the files are removed later. Rename: lines only. INBOX's messages move to
a new mailbox instead (RFC 9051 section 6.3.6). A UIDVALIDITY stands in the file before the index begins to count with
it.

Diagnostics: the reasons of mailsrv.store.refusals, StorageError.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from mailsrv.errors import AlreadyThere
from mailsrv.system.disk import Missing
from mailsrv.store.account import MARK
from mailsrv.store.account import LEAVES as DIRECTORIES
from mailsrv.store.index import Index, MailboxRow, add_mailbox, forget_mailbox
from mailsrv.store.layout import REMOVED, SEPARATOR, check_name, directory_of, parents
from mailsrv.store.mailboxes import Listing, Mailboxes, new_mailboxid, renamed
from mailsrv.store.message import base_of
from mailsrv.store.refusals import MailboxThere, NoMailbox, TooMany, UseTaken, WrongName
from mailsrv.store.rows import LEAVES
from mailsrv.store.values import INBOX, SPECIAL_USES, MailboxInfo

MAX_MAILBOXES = 10_000  # of one account, names that are only subscribed included

# A delivery that knew the directory before it was deleted may still put a message there. Files that are not older than
# its deletion by more than this are delivered again when the directory is removed, and it is not removed before.
RACE_SECONDS = 60

_JUNK = ".Junk"  # where delivery puts messages, whatever was there before


def expect(listing: Listing, name: str) -> MailboxInfo:
    """The line of a mailbox; raises NoMailbox."""
    line = listing.find(name)
    if line is None or not line.exists:
        raise NoMailbox(f"there is no mailbox {name}")
    return line


def create(index: Index, listing: Listing, name: str, special_use: str) -> MailboxInfo:
    """Make a mailbox, and those above it that are missing."""
    check_name(name)
    line = listing.find(name)
    if line is not None and line.exists:
        raise MailboxThere(f"there is a mailbox {name}")
    check_use(listing, name, special_use)
    for above in parents(name):
        line = listing.find(above)
        if line is None or not line.exists:
            _create_one(index, listing, above, "")
    return _create_one(index, listing, name, special_use)


def check_use(listing: Listing, name: str, special_use: str) -> None:
    """Raise UseTaken for a special use that is none, or another mailbox's."""
    if not special_use:
        return
    if special_use not in SPECIAL_USES:
        raise UseTaken(f"there is no special use {special_use}")
    for line in listing.lines:
        if line.special_use == special_use and line.name != name:
            raise UseTaken(f"{line.name} is used for {special_use}")


def _create_one(index: Index, listing: Listing, name: str, special_use: str) -> MailboxInfo:
    if len(listing.lines) >= MAX_MAILBOXES:
        raise TooMany(f"an account has at most {MAX_MAILBOXES} mailboxes")
    disk, root = index.disk, index.layout.root
    there = disk.names(root)
    # Nor that of a mailbox that was just deleted: other processes may have it open still, under this name.
    aside = {_directory_of_deleted(other) for other in there} - {_JUNK}
    directory = directory_of(name, {*there, *aside, *(line.directory for line in listing.lines)})
    path = f"{root}/{directory}"
    disk.make_directories(path)
    disk.append(f"{path}/{MARK}", b"")
    _make_leaves(index, directory)
    disk.sync_directory(path)
    old = listing.find(name)
    line = MailboxInfo(
        name,
        subscribed=old is not None and old.subscribed,
        special_use=special_use,
        mailboxid=new_mailboxid(),
        directory=directory,
        uidvalidity=0,
    )
    listing.put(line)
    return line


def _directory_of_deleted(name: str) -> str:
    """The directory that a mailbox had, by the name that it has since its deletion; "" for other names."""
    parts = name.split(".", 3)  # removed.SECONDS.ID.DIRECTORY
    return f".{parts[3]}" if name.startswith(REMOVED) and len(parts) == 4 else ""


def delete(index: Index, mailboxes: Mailboxes, name: str) -> None:
    """Delete a mailbox, not those below it."""
    if name == INBOX:
        raise WrongName("INBOX cannot be deleted")
    with mailboxes.change() as listing:
        line = expect(listing, name)
        aside = f"{REMOVED}{int(index.clock.now())}.{line.mailboxid}{line.directory}"
        index.disk.rename(index.layout.path(line.directory), aside)
        index.disk.sync_directory(index.layout.root)
        listing.lines.remove(line)
        if line.subscribed:
            # RFC 9051 section 6.3.8: subscriptions are the user's.
            listing.put(MailboxInfo(name, exists=False, subscribed=True))
        mailboxes.save(listing)
        _forget_deleted(index, line.directory, aside)


def _forget_deleted(index: Index, directory: str, aside: str) -> None:
    """Remove the rows of a mailbox, and its files in new/: only what is left there may have come while the directory
    was set aside; see _remove_or_deliver."""
    files = index.read(
        "SELECT m.base || m.tail FROM mailbox AS b JOIN message AS m ON m.mailbox = b.id"
        " WHERE b.directory = ? AND m.leaf = 0",
        (directory,),
    )
    for (file,) in files:
        index.disk.unlink(f"{index.layout.root}/{aside}/{LEAVES[0]}/{file}", missing_ok=True)
    with index.write() as writing:
        forget_mailbox(writing, directory)


def rename(index: Index, listing: Listing, old: str, new: str) -> None:
    """Other names for a mailbox (not INBOX) and all below it."""
    check_name(new)
    below = old + SEPARATOR
    moved = [line for line in listing.lines if line.exists and (line.name == old or line.name.startswith(below))]
    if not moved:
        raise NoMailbox(f"there is no mailbox {old}")
    if new == old or (new + SEPARATOR).startswith(below):
        raise WrongName("a mailbox cannot be renamed into itself")
    lines = [renamed(line, old, new) for line in moved]
    for line in lines:
        check_name(line.name)
        there = listing.find(line.name)
        if there is not None and there.exists:
            raise MailboxThere(f"there is a mailbox {line.name}")
    for above in parents(new):
        there = listing.find(above)
        if there is None or not there.exists:
            _create_one(index, listing, above, "")
    for before, line in zip(moved, lines, strict=True):
        there = listing.find(line.name)
        listing.lines.remove(before)
        listing.put(replace(line, subscribed=line.subscribed or (there is not None and there.subscribed)))
        if before.subscribed:
            listing.put(MailboxInfo(before.name, exists=False, subscribed=True))


def attach(index: Index, mailboxes: Mailboxes, name: str) -> tuple[MailboxInfo, MailboxRow]:
    """The line and the row of a mailbox; both begin anew when they do not belong together."""
    info = mailboxes.find(name)
    if info is None:
        raise NoMailbox(f"there is no mailbox {name}")
    row = index.find(info.directory)
    if row is not None and row.uidvalidity == info.uidvalidity:
        return info, row
    with mailboxes.change() as listing:
        info = expect(listing, name)
        row = index.find(info.directory)
        if row is not None and row.uidvalidity == info.uidvalidity:
            return info, row  # another session was faster
        # A line without one is new, or the file was lost and the index was not: then its UIDs go on.
        keeps = row is not None and not info.uidvalidity
        number = row.uidvalidity if row is not None and keeps else listing.new_uidvalidity(index.clock.now())
        listing.last = max(listing.last, number)
        info = replace(info, uidvalidity=number)
        listing.put(info)
        _make_leaves(index, info.directory)
        mailboxes.save(listing)
        if not keeps:
            with index.write() as writing:
                add_mailbox(writing, info.directory, info.uidvalidity)
    return attach(index, mailboxes, name)


def repair(index: Index, mailboxes: Mailboxes, name: str) -> tuple[MailboxInfo, MailboxRow]:
    """The same for a mailbox whose new/ or cur/ is missing: they are made again."""
    with mailboxes.change() as listing:
        _make_leaves(index, expect(listing, name).directory)
    return attach(index, mailboxes, name)


def _make_leaves(index: Index, directory: str) -> None:
    for leaf in DIRECTORIES:
        if not index.disk.exists(f"{index.layout.path(directory)}/{leaf}"):
            index.disk.make_directories(f"{index.layout.path(directory)}/{leaf}")


def forget_strangers(index: Index, mailboxes: Mailboxes) -> None:
    """Remove rows whose directory is no mailbox's any more (a deletion was cut off)."""
    if not find_strangers(index, mailboxes.load()):
        return
    with mailboxes.change() as listing:
        mailboxes.save(listing)
        for directory in find_strangers(index, listing.lines):
            with index.write() as writing:
                forget_mailbox(writing, directory)


def find_strangers(index: Index, lines: Iterable[MailboxInfo]) -> list[str]:
    """Directories that have a row and no line."""
    known = {line.directory for line in lines}
    return [directory for (directory,) in index.read("SELECT directory FROM mailbox") if directory not in known]


def remove_deleted(index: Index, most: int) -> bool:
    """Remove up to `most` files of deleted mailboxes, and their directories when they are empty; True for more."""
    disk, root = index.disk, index.layout.root
    for name in disk.names(root):
        if not name.startswith(REMOVED):
            continue
        moment = name[len(REMOVED) :].partition(".")[0]
        since = int(moment) if moment.isdecimal() else 0
        if index.clock.now() - since < RACE_SECONDS:
            continue
        for leaf in (*LEAVES, "tmp"):
            try:
                files = disk.names(f"{root}/{name}/{leaf}")
            except Missing:
                continue
            for file in files[:most]:
                _remove_or_deliver(index, f"{root}/{name}/{leaf}/{file}", leaf == LEAVES[0], since)
            most -= len(files[:most])
            if most <= 0:
                return True
            disk.remove_directory(f"{root}/{name}/{leaf}")
        for file in disk.names(f"{root}/{name}"):
            disk.unlink(f"{root}/{name}/{file}")
        disk.remove_directory(f"{root}/{name}")
    return False


def _remove_or_deliver(index: Index, path: str, is_new: bool, since: int) -> None:
    """Remove a file of a deleted mailbox; one that was delivered while it was deleted goes to INBOX."""
    disk, root = index.disk, index.layout.root
    stamp = disk.stamp(path)
    if is_new and stamp is not None and stamp.changed / 1e9 > since - RACE_SECONDS:
        with suppress(AlreadyThere):  # cut off here the last time
            disk.link(path, f"{root}/{LEAVES[0]}/{base_of(path.rpartition('/')[2])}")
        disk.sync_directory(f"{root}/{LEAVES[0]}")
    disk.unlink(path, missing_ok=True)
