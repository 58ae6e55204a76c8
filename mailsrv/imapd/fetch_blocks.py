"""The responses of FETCH in blocks: rows of the index as octets, files of messages for what rows do not tell, and
messages that become \\Seen (RFC 9051 sections 6.4.5 and 7.5.2, RFC 7162 section 3.2.4, RFC 9585).

A block of messages is one query and, where its items are kept ready, one write; what a query gives is bounded, for the
client may be in no hurry to read what is made of it. A file that cannot be read costs its own items only, and a line in
the log.

Diagnostics: MailboxGone and StorageError, from the index; TooMany for a command that costs too much.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from mailsrv.errors import StorageError, StorageFull
from mailsrv.system.openfile import OpenFile
from mailsrv.mail.mime import Span
from mailsrv.imap.extended_responses import in_progress
from mailsrv.imap.fetch_items import BinarySize, FetchItem, Item
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.guard import read_safely
from mailsrv.store.refusals import MessageGone, TooMany
from mailsrv.store.values import SEEN, Operation
from mailsrv.imapd.fetch_flags import is_brief, make_responses
from mailsrv.imapd.fetch_output import Output, format_all
from mailsrv.imapd.fetch_plan import Plan, make_plan
from mailsrv.imapd.fetch_values import SEGMENT, Piece, UnknownEncoding, missing, value
from mailsrv.imapd.message_file import MessageFile
from mailsrv.imapd.news import make_flag_lines
from mailsrv.imapd.state import State

WIDE = 1000  # messages of a block whose rows hold what is kept ready
NARROW = 2000
PORTION = 1 << 18  # octets of what is kept ready that are in memory at once, or some messages more
COMPUTED = 20  # messages of a block of which nothing is kept yet, for it to be computed and kept now
MAX_SEARCHED = 1 << 36  # octets that one command may have searched for parts, and decoded
TELL_SECONDS = 10.0  # between two words of how far it is
_PLACEHOLDERS: dict[str, bytes | str] = {
    # What RFC 2180 section 4.1.3 calls NIL FETCH responses, for a message whose file cannot be read.
    "envelope": b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
    "structure": b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)',
    "fields": b"",
    "preview": "",
}

Row = tuple[Any, ...]
Slices = list[tuple[int, int]]  # places in the view, (start, stop)


class Work:
    """One FETCH. `gone`: how many messages were not there any more."""

    def __init__(self, state: State, tag: str, items: tuple[FetchItem, ...], sees: bool) -> None:
        self._state = state
        self._view = state.selected
        self._tag = tag
        self._items = items
        self._marks = sees and not self._view.read_only and bool(self._view.box.settable & SEEN)
        self._aware = bool(state.core.enabled & {"CONDSTORE", "QRESYNC"})
        self._uid_only = "UIDONLY" in state.core.enabled
        self._plan = make_plan(items, self._uid_only, self._marks)
        self._told = state.house.clock.monotonic()
        self._output = Output(state)
        self._searched = 0
        self.gone = 0
        self.unknown_encoding = False

    def send_all(self, uids: NumberSet) -> None:
        """Tell of all these messages that are there."""
        slices = uids.slices(self._view.uids)
        total = _count(slices)
        done = 0
        brief = is_brief(self._plan) and not self._marks
        for block in _blocks(slices, WIDE if self._plan.ready or self._plan.late else NARROW):
            while block:
                rest = [] if brief and self._send_flags(block) else self._send_block(block)
                done += _count(block) - _count(rest)
                block = rest
                self._tell_progress(done, total)
        self._output.flush()

    def _tell_progress(self, done: int, total: int) -> None:
        now = self._state.house.clock.monotonic()
        if now - self._told >= TELL_SECONDS and done < total:
            self._told = now
            self._output.put(b"* OK [%b] still at it\r\n" % in_progress(self._tag, done, total).encode())
            self._output.flush()

    def _send_flags(self, block: Slices) -> bool:
        """A block of neighbours of which only flags are asked for, where all of them are there."""
        if len(block) != 1:
            return False
        octets = make_responses(self._view, self._plan, *block[0])
        if octets is None:
            return False
        if not self._aware:
            self._view.forget_changes(self._uids_of(block))
        if self._view.flags.changed:
            self._output.put(make_flag_lines(self._view))
        self._output.put(octets)
        return True

    def _send_block(self, block: Slices) -> Slices:
        """Tell of a block, or of its beginning; gives the rest of it."""
        plan = self._plan
        rows, block, rest = self._read(plan, block)
        if self._marks and self._mark(rows, plan.columns.index("flags")):
            plan = make_plan(self._items_of_marked(), self._uid_only, True)
            rows, block, more = self._read(plan, block)
            rest = more + rest
        if plan.ready and self._compute(plan, rows):
            rows, block, more = self._read(plan, block)
            rest = more + rest
        if plan.flags:
            at = plan.columns.index("flags")
            while not self._view.flags.hold([row[at] for row in rows]):
                rows, block, more = self._read(plan, block)
                rest = more + rest
        self._send_read(plan, block, rows)
        return rest

    def _read(self, plan: Plan, block: Slices) -> tuple[list[Row], Slices, Slices]:
        """The rows of a block, as many as may be in memory; the part of it that they are of, and the rest."""
        rows, whole = self._view.box.some_rows(self._uids_of(block), plan.columns, PORTION)
        if whole:
            return rows, block, []
        place = bisect_right(self._view.uids, rows[-1][0])
        head = [(start, min(stop, place)) for start, stop in block if start < place]
        return rows, head, [(max(start, place), stop) for start, stop in block if stop > place]

    def _uids_of(self, block: Slices) -> NumberSet:
        known = self._view.uids
        return NumberSet([(known[start], known[stop - 1]) for start, stop in block])

    def _send_read(self, plan: Plan, block: Slices, rows: list[Row]) -> None:
        count = _count(block)
        if len(rows) == count:
            numbers = [number for start, stop in block for number in range(start + 1, stop + 1)]
        else:
            numbered = [(number, row) for row in rows if (number := self._view.number_of(row[0]))]
            numbers, rows = [number for number, _ in numbered], [row for _, row in numbered]
            self.gone += count - len(rows)
        if not rows:
            return
        if plan.flags and (plan.modseq or not self._aware):
            self._view.forget_changes(self._uids_of(block))
        if any(row[at] is None for at, _ in plan.ready for row in rows):
            for some, completed in self._complete_all(plan, numbers, rows):
                self._send_rows(plan, some, completed)
        else:
            self._send_rows(plan, numbers, rows)

    def _compute(self, plan: Plan, rows: list[Row]) -> bool:
        """Have what is kept of messages computed now, where the client is faster than the background; False for a few,
        whose files are sooner read here."""
        waiting = [row[0] for row in rows if row[plan.header_at] is None]
        if len(waiting) < COMPUTED:
            return False
        try:
            return self._view.box.fill(waiting[0], len(waiting)) > 0
        except StorageError as error:
            self._log(error)  # an index that cannot be written can be read
            return False

    def _mark(self, rows: list[Row], flags_at: int) -> bool:
        """Make messages \\Seen; False where all are, or may not become so (RFC 4314 section 4)."""
        unseen = [row[0] for row in rows if not row[flags_at] & SEEN]
        if not unseen:
            return False
        try:
            stored = self._view.box.store_flags(NumberSet.of_sorted(unseen), Operation.ADD, SEEN)
        except StorageFull as error:
            self._log(error)  # messages can be read on a full disk; they stay unseen
            return False
        if stored.changed:
            # Changes by others wait to be told; our own is in the rows that are read next.
            self._view.sync(stored.modseq)
        return bool(stored.changed)

    def _items_of_marked(self) -> tuple[FetchItem, ...]:
        """With what must be told of messages that became \\Seen (RFC 9051 section 6.4.5, RFC 7162 section 3.2.4)."""
        more = (Item.UID, Item.FLAGS, Item.MODSEQ) if self._aware else (Item.FLAGS,)
        return (*(item for item in more if item not in self._items), *self._items)

    def _send_rows(self, plan: Plan, numbers: list[int], rows: list[Row]) -> None:
        columns: list[Any] = list(zip(*rows, strict=True))
        names = self._view.flags
        values: list[Iterable[Any]] = [columns[0] if plan.uid_only else numbers]
        values += [columns[at] if make is None else make(names, columns[at]) for at, make in plan.values]
        if names.changed:
            self._output.put(make_flag_lines(self._view))
        if not plan.late:
            self._output.put(format_all(plan.template, values))
            return
        texts = map(plan.template.__mod__, zip(*values, strict=True))
        if plan.whole:
            self._send_whole(plan, texts, rows)
            return
        for text, row in zip(texts, rows, strict=True):
            self._expect_budget()
            self._send_late(plan, text, row, self._open(row[0], row[1]))

    def _complete_all(
        self, plan: Plan, numbers: list[int], rows: list[Row]
    ) -> Iterator[tuple[list[int], list[Row]]]:
        """The same rows with what they lack, some at a time: it is not computed yet, or too large to be kept."""
        completed: list[Row] = []
        start = size = 0
        for at, row in enumerate(rows, 1):
            whole = self._complete(plan, row)
            completed.append(whole)
            size += sum(len(whole[place]) for place, _ in plan.ready)
            if size >= PORTION:
                yield numbers[start:at], completed
                completed, start, size = [], at, 0
        if completed:
            yield numbers[start:], completed

    def _complete(self, plan: Plan, row: Row) -> Row:
        """A row with what is not kept ready of its message, from the file."""
        lacking = [(at, name) for at, name in plan.ready if row[at] is None]
        if not lacking:
            return row
        whole = list(row)
        for at, name in lacking:
            whole[at] = _PLACEHOLDERS[name]
        file = self._open(row[0])
        if file is not None:
            with file:
                message = MessageFile(file)
                try:
                    for at, name in lacking:
                        whole[at] = read_safely(partial(message.ready, name), whole[at], self._tell_bug)
                except StorageError as error:
                    self._log(error)
                self._searched += message.searched
        return tuple(whole)

    def _send_late(self, plan: Plan, text: bytes, row: Row, file: OpenFile | None) -> None:
        """A response whose last items are in the file; `text` is what comes before them."""
        if file is None:
            self._output.put(text + plan.separator + b" ".join(map(missing, plan.late)) + b")\r\n")
            return
        header_size = row[plan.header_at] if plan.header_at >= 0 else 0
        message = MessageFile(file, header_size, row[plan.structure_at] if plan.structure_at >= 0 else None)
        pieces: list[Piece] = [text]
        separator = plan.separator
        for item in plan.late:
            if found := self._value(message, item):
                pieces += (separator, *found)
                separator = b" "
        if separator:
            pieces.append(b")\r\n")
            self._output.put_pieces(pieces, file)
        else:
            file.close()  # nothing is left to be told of this message
        self._searched += message.searched

    def _expect_budget(self) -> None:
        """Raise TooMany when a command costs more than clients' do."""
        if self._searched > MAX_SEARCHED:
            self._output.flush()
            raise TooMany("this asks for too many parts of messages at once")

    def _send_whole(self, plan: Plan, texts: Iterable[bytes], rows: list[Row]) -> None:
        """The same for whole messages, which everybody fetches: in fewer steps where they are small."""
        announced = plan.separator + plan.whole + b" {%d}\r\n"
        put = self._output.put_together
        for text, row in zip(texts, rows, strict=True):
            file = self._open(row[0], row[1])
            if file is None or file.size > SEGMENT:
                self._send_late(plan, text, row, file)
                continue
            try:
                octets = MessageFile(file).read(Span(0, file.size))
            except StorageError as error:
                self._log(error)
                self._send_late(plan, text, row, None)
            else:
                put(len(octets), text, announced % len(octets), octets, b")\r\n")
            finally:
                file.close()

    def _value(self, message: MessageFile, item: FetchItem) -> list[Piece]:
        try:
            return value(message, item)
        except UnknownEncoding:
            self.unknown_encoding = True
            return [] if isinstance(item, BinarySize) else [missing(item)]
        except StorageError as error:
            self._log(error)
            return [missing(item)]

    def _open(self, uid: int, path: str | None = None) -> OpenFile | None:
        box = self._view.box
        try:
            return box.open_file(uid) if path is None else box.open_path(uid, path)
        except MessageGone:
            self.gone += 1
        except StorageError as error:
            self._log(error)
        return None

    def _tell_bug(self, error: Exception) -> None:
        self._state.house.complaints.trouble(self._state.account, error)

    def _log(self, error: StorageError) -> None:
        self._state.house.complaints.storage(self._state.account, error)


def _count(slices: Slices) -> int:
    return sum(stop - start for start, stop in slices)


def _blocks(slices: Slices, size: int) -> Iterator[Slices]:
    """The same places, in blocks of at most `size`."""
    block: Slices = []
    room = size
    for start, stop in slices:
        while start < stop:
            end = min(stop, start + room)
            block.append((start, end))
            room -= end - start
            start = end
            if not room:
                yield block
                block, room = [], size
    if block:
        yield block
