"""A view: the numbering of one selected mailbox as one session's client knows it, and what it has not been told yet.

Several sessions see one mailbox, and each has its own numbers. `uids` changes only where the client is told: numbers
that a command names therefore mean what the client means (RFC 9051 section 7.5.1, RFC 2180 section 4). What the store
says is collected by `sync`, and told by mailsrv.imapd.news, where a command allows it. Nothing is sent here and no
message is read.

Diagnostics: `uids_of` raises Refusal with BAD for numbers that the client cannot know; MailboxGone comes from the store
when the mailbox was deleted.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from operator import eq

from mailsrv.imap.answers import Refusal, bad
from mailsrv.imap.numbers import EMPTY, MAX_NUMBER, NumberSet, SequenceSet
from mailsrv.imapd.flag_names import FlagNames
from mailsrv.store.numbering import extend, pick, without
from mailsrv.store.opened import OpenMailbox

News = tuple[int, int]  # flag word and modseq


class View:
    """One selected mailbox.

    `box`: the open mailbox. `uids`: what the client knows, ascending; the number of a message is its place, from 1
    (store.numbering; other sessions may have the very same). `modseq`: everything up to it is in `uids`, or waits to
    be told. `saved`: the UIDs of the last search that was saved (RFC 5182). `flags`: names of flags. `arrived` and
    `gone`: UIDs the client has not been told of as new, or as gone. `is_new`: until the command that has opened it is
    answered.
    """

    __slots__ = (
        "arrived", "box", "changed", "flags", "gone", "gone_modseq", "is_new", "modseq", "read_only", "saved",
        "uidnext", "uids",
    )

    def __init__(self, box: OpenMailbox, read_only: bool = False) -> None:
        self.box = box
        self.read_only = read_only
        self.is_new = True
        self.uids, self.modseq, self.uidnext = box.view()
        self.flags = FlagNames(box)
        self.saved = EMPTY
        self.arrived: array[int] = array("I")
        self.gone = EMPTY
        self.gone_modseq = 0
        self.changed: dict[int, News] = {}

    # Numbers

    @property
    def largest(self) -> int:
        """The largest UID that the client knows, 0 where there is no message."""
        return self.uids[-1] if self.uids else 0

    def number_of(self, uid: int) -> int:
        """The number of a message; 0 when the client does not know it."""
        at = bisect_left(self.uids, uid)
        return at + 1 if at < len(self.uids) and self.uids[at] == uid else 0

    def numbers_at(self, uids: Sequence[int]) -> Sequence[int]:
        """The numbers of messages by ascending UID; 0 for those that the client does not know."""
        start = bisect_left(self.uids, uids[0]) if uids else 0
        some = self.uids[start : start + len(uids)]
        if len(some) == len(uids) and all(map(eq, some, uids)):
            return range(start + 1, start + 1 + len(uids))
        return list(map(self.number_of, uids))

    def uids_of(self, numbers: SequenceSet, uid: bool) -> NumberSet:
        """The UIDs that a client's set means: of message numbers, or of UIDs where `uid`; `$` is what was saved.

        The set may have UIDs that are gone, never one that the client has not been told. Raises Refusal (BAD) for
        message numbers beyond the last.
        """
        if numbers.saved:
            return self.saved
        if uid:
            # `*` of an empty mailbox names nothing; `9:*` names the last message also where its UID is smaller.
            return numbers.resolve(self.largest) & self._known() if self.uids else EMPTY
        count = len(self.uids)
        if numbers.largest > count or (numbers.has_star and not count):
            raise Refusal(bad(f"there are {count} messages"))
        found = numbers.resolve(count)
        if len(found) == count:
            return NumberSet.of_sorted(self.uids)
        if len(found.ranges) == 1 and found.first == found.last:
            return NumberSet([(self.uids[found.first - 1],) * 2])
        return NumberSet.of_sorted(pick(self.uids, [(first - 1, last) for first, last in found.ranges]))

    def _known(self) -> NumberSet:
        return NumberSet([(1, self.largest)])

    def numbers_of(self, uids: NumberSet) -> NumberSet:
        """The numbers of those messages of a set of UIDs that the client knows."""
        return NumberSet([(start + 1, stop) for start, stop in uids.slices(self.uids)])

    # What happens

    def sync(self, silent: int = 0) -> None:
        """Collect what has changed in the store since the last time, for `news.tell`.

        `silent` is the modseq of a STORE of this session that its client wants to hear nothing of (Stored.modseq of
        FLAGS.SILENT): it is told only where other news of the message wait already. Call sync() once right before
        such a STORE, so that the changes of others wait.
        """
        self._collect(silent)
        # A bit that became another keyword's was no message's then: whatever had it is found again, with its modseq.
        while self.changed and not self.flags.hold([word for word, _ in self.changed.values()]):
            self._collect(silent)

    def _collect(self, silent: int) -> None:
        changes = self.box.changes(self.modseq)
        news = self.changed
        told = changes.flags
        if told and told[-1][0] < self.uidnext and not silent:
            news.update({uid: (word, modseq) for uid, word, modseq in told})
            told = []
        for uid, word, modseq in told:
            if uid >= self.uidnext:
                self.arrived.append(uid)
            elif modseq != silent or uid in news:
                news[uid] = (word, modseq)
        if changes.vanished:
            self._lose(changes.vanished)
        self.modseq, self.uidnext = changes.highestmodseq, max(self.uidnext, changes.uidnext)
        if self.arrived:
            self.uidnext = max(self.uidnext, self.arrived[-1] + 1)

    def _lose(self, vanished: NumberSet) -> None:
        if self.arrived:
            self.arrived = array("I", [uid for uid in self.arrived if uid not in vanished])
        slices = vanished.slices(self.uids)
        if not slices:
            return
        if not self.gone:
            self.gone_modseq = self.modseq  # before any of what waits
        self.gone = self.gone | NumberSet.of_sorted(pick(self.uids, slices))
        for uid in [uid for uid in self.changed if uid in vanished]:
            del self.changed[uid]

    # What is told

    def forget_changes(self, uids: NumberSet) -> None:
        """The client has just been told the flags of these messages, as they are now."""
        if self.changed:
            for uid in [uid for uid in self.changed if uid in uids]:
                del self.changed[uid]

    def admit_arrived(self) -> int:
        """Number the messages that arrived; gives how many messages there are."""
        self.uids = self.box.share(extend(self.uids, self.arrived))
        self.arrived = array("I")
        return len(self.uids)

    def drop_gone(self) -> tuple[NumberSet, list[int]]:
        """Take the messages that are gone out of the numbering; gives their UIDs, and the numbers that EXPUNGE names,
        one after the other (the highest first, so that none changes another)."""
        gone = self.gone
        slices = gone.slices(self.uids)
        numbers: list[int] = []
        for start, stop in reversed(slices):
            numbers.extend(range(stop, start, -1))
        self.uids = self.box.share(without(self.uids, slices))
        self.gone = EMPTY
        self.saved = self.saved - gone
        return gone, numbers

    def take_changes(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """UIDs, flag words and modseqs of what is to be told, by ascending UID; it is told then. Of messages that the
        client knows."""
        news, self.changed = self.changed, {}
        uids: Sequence[int] = sorted(news)
        if 0 in (numbers := self.numbers_at(uids)):
            uids = list(compress(uids, numbers))
        words, modseqs = zip(*map(news.__getitem__, uids), strict=True) if uids else ((), ())
        return uids, words, modseqs


assert array("I").itemsize >= 4 and MAX_NUMBER < 1 << 32  # a UID fits
