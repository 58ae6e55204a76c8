"""The UIDs of a mailbox in order, as a view numbers them: a range where none is missing, else an array that all who
have the mailbox open in this process share.

What is here never changes: a mailbox with other messages has another numbering, so that sessions on one mailbox of any
size hold it once. UIDs are given in ascending order and never again, therefore a numbering that was read before becomes
that of now by the few messages that came and went since, and a mailbox is not read again to be selected.

Diagnostics: MailboxGone and StorageError from `Numberings.read`; the functions raise nothing.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from mailsrv.imap.numbers import NumberSet, Range
from mailsrv.store.refusals import MailboxGone

Uids = Sequence[int]  # ascending and distinct: a range, or an array of "I" that nobody changes
NONE = range(0)

KEPT = 1 << 19  # UIDs of an account's mailboxes that are kept while nobody has them open


def pick(uids: Uids, slices: Sequence[Range]) -> Uids:
    """Those at these places, each (start, stop), ascending."""
    if len(slices) == 1:
        start, stop = slices[0]
        some = uids if stop - start == len(uids) else uids[start:stop]
        return compact(some) if isinstance(some, array) else some
    found: array[int] = array("I")
    for start, stop in slices:
        found.extend(uids[start:stop])
    return compact(found)


def compact(uids: "array[int]") -> Uids:
    """The same as a range, where it is one."""
    if not uids:
        return NONE
    first, last = uids[0], uids[-1]
    return range(first, last + 1) if last - first + 1 == len(uids) else uids


def extend(uids: Uids, more: Uids) -> Uids:
    """With those that came, all of them larger."""
    if not more:
        return uids
    if isinstance(uids, range) and more[0] == (uids.stop if uids else more[0]) and more[-1] - more[0] + 1 == len(more):
        return range(uids.start if uids else more[0], more[-1] + 1)
    found = array("I", uids)
    found.extend(more)
    return found


def without(uids: Uids, slices: Sequence[Range]) -> Uids:
    """Without those at these places, each (start, stop), ascending."""
    rest, at = [], 0
    for start, stop in slices:
        if start > at:
            rest.append((at, start))
        at = stop
    if at < len(uids):
        rest.append((at, len(uids)))
    return pick(uids, rest) if rest else NONE


class _Reading(NamedTuple):
    """A mailbox's row at one moment with its smallest and its largest UID (None: there are no messages)."""

    messages: int
    highestmodseq: int
    uidnext: int
    uidvalidity: int
    remembered: int
    low: int | None
    high: int | None


class _Known(NamedTuple):
    uids: "array[int]"
    uidnext: int
    highestmodseq: int


Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]  # Index.read

_READING = (
    "SELECT messages, highestmodseq, uidnext, uidvalidity, remembered,"
    " (SELECT min(uid) FROM message WHERE mailbox = ?1), (SELECT max(uid) FROM message WHERE mailbox = ?1)"
)
_ALL = "(SELECT group_concat(uid) FROM (SELECT uid FROM message WHERE mailbox = ?1 ORDER BY uid))"
_FROM = "FROM mailbox WHERE id = ?1"
_CAME = "SELECT uid FROM message WHERE mailbox = ? AND uid >= ? AND uid < ? ORDER BY uid"
_WENT = "SELECT uid FROM expunged WHERE mailbox = ? AND modseq > ? AND modseq <= ?"


class Numberings:
    """Those of one account's mailboxes in this process. Threads may share it."""

    def __init__(self) -> None:
        #: By mailbox: its first unseen message when its highestmodseq was this.
        self.unseen: dict[tuple[int, int], tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], _Known] = OrderedDict()
        self._shared: WeakValueDictionary[tuple[int, int, int, int], array[int]] = WeakValueDictionary()

    def read(self, ask: Ask, key: tuple[int, int]) -> tuple[Uids, int, int]:
        """All UIDs of a mailbox (its id and UIDVALIDITY), highestmodseq and uidnext, of one moment. Raises
        MailboxGone."""
        now = _expect(ask(f"{_READING} {_FROM}", (key[0],)), key)
        uids: Uids | None = _find_range(now)
        if uids is None:
            uids = self._catch_up(ask, key, now)
        if uids is None:
            rows = ask(f"{_READING}, {_ALL} {_FROM}", (key[0],))
            now = _expect([row[:-1] for row in rows], key)
            text = rows[0][-1]
            uids = compact(array("I", map(int, text.split(",")))) if text else NONE
        uids = self.share(key, uids)
        if isinstance(uids, array):
            self._keep(key, _Known(uids, now.uidnext, now.highestmodseq))
        return uids, now.highestmodseq, now.uidnext

    def share(self, key: tuple[int, int], uids: Uids) -> Uids:
        """The same UIDs of a mailbox as somebody has them already, if anybody does."""
        if not isinstance(uids, array):
            return uids
        name = (*key, len(uids), uids[-1])
        with self._lock:
            other = self._shared.get(name)
            if other is not None and (other is uids or other == uids):
                return other
            self._shared[name] = uids
            return uids

    def _keep(self, key: tuple[int, int], known: _Known) -> None:
        with self._lock:
            self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(len(other.uids) for other in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)

    def _catch_up(self, ask: Ask, key: tuple[int, int], now: _Reading) -> Uids | None:
        """What was known before with what has changed since. None where that is not all UIDs of `now`: the statements
        are not of one moment, and the index may be a restored one.

        What went until `now` is always asked for: what came may have gone since, and would be missing, so that their
        number alone tells nothing before. Behind it nothing can be too much, and the number tells all."""
        known = self._kept.get(key)
        if known is None or known.uidnext > now.uidnext or known.highestmodseq > now.highestmodseq:
            return None
        if known.highestmodseq < now.remembered and known.highestmodseq < now.highestmodseq:
            return None
        uids: Uids = known.uids
        if known.uidnext < now.uidnext:
            came = ask(_CAME, (key[0], known.uidnext, now.uidnext))
            uids = extend(uids, array("I", [uid for (uid,) in came]))
        if known.highestmodseq < now.highestmodseq:
            went = ask(_WENT, (key[0], known.highestmodseq, now.highestmodseq))
            uids = without(uids, NumberSet.of(uid for (uid,) in went).slices(uids))
        is_right = len(uids) == now.messages and (uids[0], uids[-1]) == (now.low, now.high)
        return uids if is_right else None


def _expect(rows: list[tuple[Any, ...]], key: tuple[int, int]) -> _Reading:
    if not rows or rows[0][3] != key[1]:
        raise MailboxGone("the mailbox was deleted, or its UIDs are no longer valid")
    return _Reading(*rows[0])


def _find_range(now: _Reading) -> range | None:
    if now.low is None or now.high is None:
        return NONE
    return range(now.low, now.high + 1) if now.high - now.low + 1 == now.messages else None
