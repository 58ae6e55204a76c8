"""One pass of an import over one mailbox: what is new at the source is appended here, and flags that changed follow.

A message is taken once: its key stands in the journal, or its octets lie in the mailbox already and no other key stands
for them (an import that was cut off, or one from elsewhere). Of a message that was taken before only the flags are
looked at: where they changed at the source and not here, they change here too. Nothing is ever removed here. Messages
are made durable by batches; of a message that is read only a piece is in memory.

Octets are kept but for two things: line ends become CRLF, and octets that are 0, which IMAP cannot send, become 128.

Diagnostics: OverQuota when the account has no room for the next message, SourceLost, StorageError; what was taken by
then is remembered. A single message that cannot be read is told and passed over.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from mailsrv.system.disk import UnnamedFile
from mailsrv.mail.line_ends import to_crlf
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.reader import Reader
from mailsrv.store.refusals import MessageGone, OverQuota, TooMany
from mailsrv.store.values import SYSTEM, SYSTEM_FLAGS, Incoming, NamedFlags, Operation
from mailsrv.cli.import_journal import Journal, Taken
from mailsrv.cli.import_source import Item, Origin, Source, Unreadable, clean_flags

_BATCH = 250  # messages of a commit; each is an open file until then
_BATCH_OCTETS = 32 << 20
_SYNCS = 8  # at once
_CHANGES = 1000  # flags that are looked at together
_PIECE = 1 << 20


@dataclass(slots=True)
class Tally:
    """What became of one mailbox: `there` at the source; of these `taken` now, `known` from before or found here
    already, `failed`. `updated`: flags that followed. What differs afterwards: `gone` were taken and are no more at the
    source, `missing` are no more here, `conflicts` have flags that were changed on both sides."""

    name: str
    target: str
    there: int = 0
    taken: int = 0
    known: int = 0
    updated: int = 0
    failed: int = 0
    gone: int = 0
    missing: int = 0
    conflicts: int = 0
    octets: int = 0

    @property
    def differing(self) -> int:
        return self.gone + self.missing + self.conflicts


@dataclass(frozen=True, slots=True)
class Tellers:
    """Who hears of it: `step` for each message, `fail` with mailbox, message and reason."""

    step: Callable[[], None]
    fail: Callable[[str, str, str], None]


@dataclass(slots=True)
class _Batch:
    keys: list[str] = field(default_factory=list)
    flags: list[frozenset[str]] = field(default_factory=list)
    messages: list[Incoming] = field(default_factory=list)
    octets: int = 0

    def close(self) -> None:
        for message in self.messages:
            message.file.close()


class KnownFlags:
    """The flags that one mailbox can have. Keywords beyond what it can are left out."""

    def __init__(self, box: OpenMailbox) -> None:
        self._box = box
        self._keywords: dict[str, bool] = {}  # whether there is room for it

    def flags(self, names: frozenset[str]) -> NamedFlags:
        """Flags for the store."""
        system = sum(SYSTEM_FLAGS.get(name, 0) for name in names)
        return NamedFlags(system, tuple(name for name in sorted(names - SYSTEM_FLAGS.keys()) if self._takes(name)))

    def _takes(self, name: str) -> bool:
        if name not in self._keywords:
            # With those from before: no message may have them yet, and then they make room for others.
            taken = [keyword for keyword, takes in self._keywords.items() if takes]
            try:
                self._keywords[name] = bool(self._box.keyword_word([*taken, name], create=True))
            except TooMany:
                self._keywords[name] = False
        return self._keywords[name]


class Pass:
    """Takes the mailbox `origin` of a source into `box`."""

    def __init__(self, reader: Reader, box: OpenMailbox, journal: Journal, tellers: Tellers, tally: Tally) -> None:
        self._reader = reader
        self._box = box
        self._journal = journal
        self._tellers = tellers
        self._tally = tally
        self._known = KnownFlags(box)
        self._batch = _Batch()
        self._pool = ThreadPoolExecutor(_SYNCS)
        self._seen = 0  # of the journal's keys
        self._changed: list[tuple[str, Taken, frozenset[str]]] = []
        self._copies: dict[str, int] = {}  # messages with the same octets, where these are the key
        self._strangers: dict[int, list[int]] = {}  # UIDs by size of what no key stands for

    def run(self, source: Source, origin: Origin) -> None:
        """Do it; what was taken is durable and remembered when this ends, also when it raises."""
        claimed = {taken.uid for taken in self._journal.entries.values()}
        for uid, size in self._box.rows(None, ("uid", "size")):
            if uid not in claimed:
                self._strangers.setdefault(size, []).append(uid)
        before = len(self._journal.entries)
        try:
            for item in source.items(origin, self._journal):
                self._tally.there += 1
                self._take(item)
                self._tellers.step()
            self._tally.gone = before - self._seen
        finally:
            try:
                self._flush()
            finally:
                self._batch.close()
                self._pool.shutdown()
        self._follow()
        present = set(self._box.view()[0])
        self._tally.missing = sum(taken.uid not in present for taken in self._journal.entries.values())

    def _take(self, item: Item) -> None:
        flags = clean_flags(item.flags)
        if item.pieces is None:
            self._meet(item.key, flags)
            return
        file = self._box.new_file()
        try:
            digest = _write(file, item)
            key = item.key or self._count(digest)
            if key in self._journal:
                self._meet(key, flags)
            elif uid := self._find(file):
                # Its flags here are its owner's: those of the source count from the next change on.
                self._journal.note([(key, Taken(uid, _text(flags)))])
                self._tally.known += 1
            else:
                self._add(key, flags, item, file)
                return
        except Unreadable as error:
            self._tally.failed += 1
            self._tellers.fail(self._tally.name, item.label, str(error))
        except BaseException:
            file.close()
            raise
        file.close()

    def _meet(self, key: str, flags: frozenset[str]) -> None:
        """A message that was taken before."""
        self._tally.known += 1
        self._seen += 1
        taken = self._journal.entries[key]
        if taken.flags != _text(flags):
            self._changed.append((key, taken, flags))
            if len(self._changed) >= _CHANGES:
                self._follow()

    def _count(self, digest: str) -> str:
        number = self._copies[digest] = self._copies.get(digest, 0) + 1
        return f"{digest}.{number}"

    def _find(self, file: UnnamedFile) -> int:
        """The UID of a message here with the same octets, which no key stands for; 0: none. One is found once."""
        candidates = self._strangers.get(file.size, [])
        for uid in candidates:
            try:
                with self._box.open_file(uid) as other:
                    same = other.size == file.size and all(
                        file.read_at(at, _PIECE) == other.read_at(at, _PIECE) for at in range(0, file.size, _PIECE)
                    )
            except MessageGone:
                continue
            if same:
                candidates.remove(uid)
                return uid
        return 0

    def _add(self, key: str, flags: frozenset[str], item: Item, file: UnnamedFile) -> None:
        batch = self._batch
        limits = self._reader.limits
        if limits.octets or limits.messages:
            usage = self._reader.usage()
            octets = usage.octets + batch.octets + file.size
            messages = usage.messages + len(batch.messages) + 1
            if limits.octets and octets > limits.octets or limits.messages and messages > limits.messages:
                raise OverQuota(f"{self._tally.name}: {item.label}: the account has no room for it")
        batch.keys.append(key)
        batch.flags.append(flags)
        batch.messages.append(Incoming(file, self._known.flags(flags), item.received))
        batch.octets += file.size
        if len(batch.messages) >= _BATCH or batch.octets >= _BATCH_OCTETS:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if batch.messages:
            # Side by side they share the journal's commits; append, which syncs one by one, finds nothing left to do.
            with closing(batch):
                list(self._pool.map(lambda message: message.file.sync(), batch.messages))
                uids = self._box.append(batch.messages)
            self._tally.taken += len(uids)
            self._tally.octets += batch.octets
            rows = zip(batch.keys, uids, batch.flags, strict=True)
            self._journal.note((key, Taken(uid, _text(flags))) for key, uid, flags in rows)

    def _follow(self) -> None:
        """Flags that changed at the source since they were taken, and not here, change here."""
        changed, self._changed = self._changed, []
        if not changed:
            return
        modseq = self._box.status().highestmodseq
        uids = NumberSet.of(taken.uid for _, taken, _ in changed)
        rows, keywords = self._box.named_rows(uids, ("uid", "flags"))
        here = {uid: _comparable(word, [name for mask, name in keywords if word & mask]) for uid, word in rows}
        wanted: dict[NamedFlags, list[int]] = {}
        settled = []
        for key, taken, flags in changed:
            if taken.uid not in here:
                continue
            named, before = self._known.flags(flags), self._known.flags(frozenset(taken.flags.split()))
            now = _comparable(named.system, named.keywords)
            if here[taken.uid] == _comparable(before.system, before.keywords) != now:
                wanted.setdefault(named, []).append(taken.uid)
            elif here[taken.uid] != now:
                self._tally.conflicts += 1
                continue
            settled.append((key, Taken(taken.uid, _text(flags))))
        failed = set()
        for named, some in wanted.items():
            stored = self._box.store_flags(NumberSet.of(some), Operation.REPLACE, named, modseq)
            self._tally.updated += stored.changed
            failed |= set(stored.failed)
        self._tally.conflicts += len(failed)
        self._journal.note((key, taken) for key, taken in settled if taken.uid not in failed)


def _comparable(word: int, keywords: Sequence[str]) -> tuple[int, frozenset[str]]:
    """Flags that are equal where these are, whatever the letters of keywords."""
    return word & SYSTEM, frozenset(name.lower() for name in keywords)


def _text(flags: frozenset[str]) -> str:
    return " ".join(sorted(flags))


def _write(file: UnnamedFile, item: Item) -> str:
    """The message's octets into a file; gives their digest where that is the key. Raises Unreadable."""
    digest = hashlib.sha256() if not item.key else None
    for piece in to_crlf(item.pieces or ()):
        octets = piece.replace(b"\0", b"\x80")
        file.write([octets])
        if digest is not None:
            digest.update(octets)
    if not file.size:
        raise Unreadable("there is nothing in it")
    return digest.hexdigest()[:32] if digest is not None else ""
