"""The one place that commits a message: to the mailboxes of local accounts and, for all other recipients, to the queue.

When `commit` returns, every recipient's copy is durable: linked into new/ of its account's mailbox and the directory
synced, or in spool/queue. When it raises, nothing was kept. In between, in this order (tests/crash takes it apart at
each step):

1. the message is written once as an unnamed file and synced; its Maildir name derives from its ID;
2. it is linked into each account's new/, that of INBOX or of the mailbox which the envelope names (made durable before,
   with all above it), then each directory is synced (the first sync commits all links on a journalling file system, so
   that the others cost little); an account on another file system gets a copy of its own;
3. an account that fails is unlinked again and its recipients join the remote ones, as do those of whose delivery the
   sender wants to be told: the queue's runner writes such reports;
4. these get one queue file;
5. if that fails, what 2 linked is unlinked and the error raised.

It decides nothing about who receives what, and never changes octets.

Diagnostics: StorageFull or StorageError when nothing was kept. An account that fails is an event in the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.queueid import time_of
from mailsrv.store.account import Store
from mailsrv.store.message import FLAGS_MARK, base_name
from mailsrv.store.quota import Quota
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import CrossDevice, Disk, Missing, UnnamedFile
from mailsrv.system.log import Log
from mailsrv.system.scratch import Octets

RELAY = "local"


class Announces(Protocol):
    """What tells readers of new messages: store/notify.Announcer."""

    def announce(self, *accounts: str) -> None:
        """Best effort; never fails."""
        ...


class Again(Enum):
    """Whether a name that exists already can only be this very message."""

    NO = "a new message: its name exists nowhere, unless two messages have one ID"
    YES = "the queue's runner tries again: the name means that it was delivered before the crash"


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a message. `failed`: account -> why it waits in the queue."""

    delivered: tuple[str, ...]
    queued: tuple[Recipient, ...]
    failed: dict[str, str]


@dataclass(slots=True)
class _Copy:
    """A name to be made for one account, in this mailbox; `error` once it has failed."""

    account: str
    mailbox: str
    directory: str = ""
    linked: bool = False
    error: StorageError | None = None


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    """Commits messages, for all threads of a process. `hostname` goes into the names of the files."""

    disk: Disk
    store: Store
    spool: Spool
    quota: Quota
    announcer: Announces
    log: Log
    clock: Clock
    hostname: str

    def commit(self, envelope: Envelope, octets: Octets, return_path: bytes, again: Again = Again.NO) -> Committed:
        """Deliver to each recipient's account, queue the rest. The local file is `return_path` and the octets.

        Raises StorageFull or StorageError when nothing was kept.
        """
        if not envelope.recipients:
            raise ValueError("a message without recipients cannot be kept")
        began = self.clock.now()
        size = len(return_path) + octets.size
        name = self._name(envelope, size)
        confirmed = _confirmed(envelope)
        copies = _copies(envelope.mailbox, (r for r in envelope.recipients if r.account not in confirmed))
        try:
            self._deliver(copies, name, (return_path, octets), again)
            failed = {copy.account: str(copy.error) for copy in copies if copy.error is not None}
            failed |= dict.fromkeys(confirmed, "its sender wants to be told of the delivery")
            waiting = tuple(r for r in envelope.recipients if not r.account or r.account in failed)
            if waiting:
                self.spool.enqueue(replace(envelope, recipients=waiting, size=octets.size), octets)
        except BaseException:
            self._undo(copies, name)
            raise
        self._tell(envelope, copies, size, began)
        if waiting:
            reason = "; ".join(sorted(set(failed.values())))
            events.queued(self.log, id=envelope.id, recipients=len(waiting), reason=reason)
        return Committed(tuple(copy.account for copy in copies if copy.linked), waiting, failed)

    def commit_each(
        self, envelope: Envelope, octets: Octets, return_path: bytes, again: Again = Again.NO
    ) -> dict[str, StorageError | None]:
        """Deliver to each recipient's account and never queue (LMTP, RFC 2033, and what the queue brings): account ->
        None, or why it failed."""
        began = self.clock.now()
        size = len(return_path) + octets.size
        name = self._name(envelope, size)
        copies = _copies(envelope.mailbox, envelope.recipients)
        try:
            self._deliver(copies, name, (return_path, octets), again)
        except StorageError as error:
            self._undo(copies, name)
            for copy in copies:
                copy.linked, copy.error = False, error
        except BaseException:
            self._undo(copies, name)
            raise
        self._tell(envelope, copies, size, began)
        return {copy.account: copy.error for copy in copies}

    def _name(self, envelope: Envelope, size: int) -> str:
        return base_name(time_of(envelope.id), envelope.id, size, self.hostname)

    def _deliver(self, copies: list[_Copy], name: str, message: tuple[bytes, Octets], again: Again) -> None:
        """Steps 1 to 3: each copy is linked and durable afterwards, or has its error.

        Raises StorageError when no octets could be written at all, or when a new message's name is taken.
        """
        file = self._open_first(copies)
        if file is None:
            return
        return_path, octets = message
        with file:
            octets.write_to(file, return_path)
            file.sync()
            for copy in copies:
                if copy.error is None:
                    self._link(copy, name, file, again)
        for copy in copies:
            if copy.linked:
                try:
                    self.disk.sync_directory(copy.directory)
                except StorageError as error:
                    self._fail(copy, name, error)

    def _open_first(self, copies: list[_Copy]) -> UnnamedFile | None:
        """The unnamed file, in the file system of the first account that has a directory; None when none has."""
        file = None
        for copy in copies:
            try:
                copy.directory = self.store.new_directory(copy.account, copy.mailbox)
                if file is None:
                    file = self._open(copy)
            except StorageError as error:
                copy.error = error
        return file

    def _open(self, copy: _Copy) -> UnnamedFile:
        try:
            return self.disk.open_unnamed(copy.directory)
        except Missing:
            # Removed while we run: it is made again, as for an account or a mailbox that is new.
            self.store.prepare(copy.account, mailbox=copy.mailbox)
            return self.disk.open_unnamed(copy.directory)

    def _link(self, copy: _Copy, name: str, file: UnnamedFile, again: Again) -> None:
        """Give the message its name in one account, or give the copy its error."""
        if again is Again.YES and self._was_delivered(copy, name):
            copy.linked = True
            return
        try:
            self._give_name(copy, name, file)
        except AlreadyThere:
            if again is Again.NO:
                # Another message's file: neither it nor the client is to be told that this one lies there.
                raise
        except StorageError as error:
            copy.error = error
            return
        copy.linked = True

    def _give_name(self, copy: _Copy, name: str, file: UnnamedFile) -> None:
        """Link the file, or a copy of it where a link cannot be made."""
        try:
            file.link(copy.directory, name)
        except Missing:
            self.store.prepare(copy.account, mailbox=copy.mailbox)
            file.link(copy.directory, name)
        except CrossDevice:
            with self.disk.open_unnamed(copy.directory) as own:
                own.copy_from(file)
                own.sync()
                own.link(copy.directory, name)

    def _was_delivered(self, copy: _Copy, name: str) -> bool:
        """Whether a mail program has the message already: it moves what it has seen from new/ to cur/.

        Not whether it lies in another mailbox: to read all of them for each repeated delivery would cost more than the
        second copy of a message that somebody moved in the moments between a crash and the next attempt.
        """
        current = copy.directory.removesuffix("new") + "cur"
        try:
            return any(found.startswith(name + FLAGS_MARK) or found == name for found in self.disk.names(current))
        except Missing:
            return False

    def _fail(self, copy: _Copy, name: str, error: StorageError) -> None:
        """An account whose directory cannot be synced: its name goes away again."""
        copy.linked, copy.error = False, error
        try:
            self.disk.unlink(f"{copy.directory}/{name}", missing_ok=True)
        except StorageError as second:
            # The queue's runner finds the name there and takes it for delivered, which it may be.
            events.storage(self.log, path=copy.directory, reason=str(second))

    def _undo(self, copies: list[_Copy], name: str) -> None:
        """Step 5: the client is told that nothing was kept; a name that cannot be removed becomes a duplicate."""
        for copy in copies:
            if copy.linked:
                self._fail(copy, name, StorageError("withdrawn"))

    def _tell(self, envelope: Envelope, copies: list[_Copy], size: int, began: float) -> None:
        """After the fact: count, wake readers, log. What fails here does not change that the message was kept."""
        before = max(began - envelope.received, 0.0)
        delays = events.delays(before, 0.0, 0.0, max(self.clock.now() - began, 0.0))
        delivered = []
        for copy in copies:
            if copy.error is not None:
                events.storage(self.log, path=copy.directory or copy.account, reason=str(copy.error))
                continue
            delivered.append(copy.account)
            try:
                self.quota.add(copy.account, size)
            except StorageError as error:
                events.storage(self.log, path=copy.account, reason=str(error))
        if delivered:
            self.announcer.announce(*delivered)
            named = [str(one.original or one.address) for one in envelope.recipients if one.account in delivered]
            events.attempt(
                self.log, id=envelope.id, to=",".join(named), account=",".join(delivered),
                mailbox=envelope.mailbox, status="delivered", relay=RELAY, delays=delays, dsn="2.0.0", reason="",
            )  # fmt: skip


def _confirmed(envelope: Envelope) -> frozenset[str]:
    """Accounts of which the sender wants to hear that they have the message (NOTIFY=SUCCESS, RFC 3461 section 5.2.2):
    they get it from the queue, whose runner writes reports, and exactly once."""
    if envelope.reverse_path is None:
        return frozenset()
    return frozenset(r.account for r in envelope.recipients if r.account and "SUCCESS" in r.dsn.notify)


def _copies(mailbox: str, recipients: Iterable[Recipient]) -> list[_Copy]:
    """One copy for each account among the recipients, in their order."""
    return [_Copy(account, mailbox) for account in dict.fromkeys(r.account for r in recipients if r.account)]
