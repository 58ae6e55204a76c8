"""The responses of FETCH in blocks: rows of the index as octets, files of messages for what rows do not tell, and
messages that become \\Seen (RFC 9051 sections 6.4.5 and 7.5.2, RFC 7162 section 3.2.4, RFC 9585).

A block of messages is one query and, where its items are kept ready, one write. A file that cannot be read costs its
own items only, and a line in the log.

Diagnostics: MailboxGone and StorageError, from the index; TooMany for a command that costs too much.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from mailsrv.errors import StorageError
from mailsrv.system import events
from mailsrv.system.openfile import OpenFile
from mailsrv.mail.mime import Span
from mailsrv.imap.extended_responses import in_progress
from mailsrv.imap.fetch_items import BinarySize, FetchItem, Item
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.filling import Filler
from mailsrv.store.index import Key
from mailsrv.store.refusals import MessageGone, TooMany
from mailsrv.store.values import SEEN, Operation
from mailsrv.imapd.fetch_output import Output
from mailsrv.imapd.fetch_plan import Plan, make_plan
from mailsrv.imapd.fetch_values import SEGMENT, Piece, UnknownEncoding, missing, value
from mailsrv.imapd.message_file import MessageFile
from mailsrv.imapd.news import make_flag_lines
from mailsrv.imapd.state import State

WIDE = 250  # messages of a block whose rows hold what is kept ready, 64 KiB an item at most
NARROW = 2000
PORTION = 1 << 18  # octets of what is kept ready that become responses at once
COMPUTED = 20  # messages of a block of which nothing is kept yet, for it to be computed and kept now
MAX_SEARCHED = 1 << 36  # octets that one command may have searched for parts, and decoded
TELL_SECONDS = 10.0  # between two words of how far it is
_UNKNOWN = 1 << 16  # octets that count for what is not kept ready: it is as large, or not computed yet
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
        self._logged = ""
        self._searched = 0
        self.gone = 0
        self.unknown_encoding = False

    def send_all(self, uids: NumberSet) -> None:
        """Tell of all these messages that are there."""
        slices = uids.slices(self._view.uids)
        total = _count(slices)
        done = 0
        for block in _blocks(slices, WIDE if self._plan.ready or self._plan.late else NARROW):
            self._send_block(block)
            done += _count(block)
            self._tell_progress(done, total)
        self._output.flush()

    def _tell_progress(self, done: int, total: int) -> None:
        now = self._state.house.clock.monotonic()
        if now - self._told >= TELL_SECONDS and done < total:
            self._told = now
            self._output.put(b"* OK [%b] still at it\r\n" % in_progress(self._tag, done, total).encode())
            self._output.flush()

    def _send_block(self, block: Slices) -> None:
        plan = self._plan
        known = self._view.uids
        uids = NumberSet([(known[start], known[stop - 1]) for start, stop in block])
        rows = list(self._view.box.rows(uids, plan.columns))
        if self._marks and self._mark(rows, plan.columns.index("flags")):
            plan = make_plan(self._items_of_marked(), self._uid_only, True)
            rows = list(self._view.box.rows(uids, plan.columns))
        if plan.ready and self._compute(plan, rows):
            rows = list(self._view.box.rows(uids, plan.columns))
        if plan.flags:
            at = plan.columns.index("flags")
            while not self._view.flags.hold([row[at] for row in rows]):
                rows = list(self._view.box.rows(uids, plan.columns))
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
            self._view.forget_changes(uids)
        for start, stop in _portions(plan, rows):
            self._send_rows(plan, numbers[start:stop], rows[start:stop])

    def _compute(self, plan: Plan, rows: list[Row]) -> bool:
        """Have what is kept of messages computed now, where the client is faster than the background; False for a few,
        whose files are sooner read here."""
        waiting = [row[0] for row in rows if row[plan.header_at] is None]
        if len(waiting) < COMPUTED:
            return False
        box = self._view.box
        try:
            return Filler(box._index).fill_from(Key(box.id, box.uidvalidity), waiting[0], len(waiting)) > 0
        except StorageError as error:
            self._log(error)  # an index that cannot be written can be read
            return False

    def _mark(self, rows: list[Row], flags_at: int) -> bool:
        """Make messages \\Seen; False where all are, or may not become so (RFC 4314 section 4)."""
        unseen = [row[0] for row in rows if not row[flags_at] & SEEN]
        if not unseen:
            return False
        stored = self._view.box.store_flags(NumberSet.of_sorted(unseen), Operation.ADD, SEEN)
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
        if any(None in columns[at] for at, _ in plan.ready):
            rows = [self._complete(plan, row) for row in rows]
            columns = list(zip(*rows, strict=True))
        names = self._view.flags
        values: list[Iterable[Any]] = [columns[0] if plan.uid_only else numbers]
        values += [columns[at] if make is None else make(names, columns[at]) for at, make in plan.values]
        if names.changed:
            self._output.put(make_flag_lines(self._view))
        if not plan.late:
            self._output.put(_format_all(plan.template, values))
            return
        texts = map(plan.template.__mod__, zip(*values, strict=True))
        if plan.whole:
            self._send_whole(plan, texts, rows)
            return
        for text, row in zip(texts, rows, strict=True):
            self._expect_budget()
            self._send_late(plan, text, row, self._open(row[0], row[1]))

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
                        whole[at] = message.ready(name)
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

    def _log(self, error: StorageError) -> None:
        """One line a message, however many of its items are wanted."""
        if str(error) != self._logged:
            self._logged = str(error)
            events.storage(self._state.house.log, path=self._state.account, reason=self._logged)


def _portions(plan: Plan, rows: list[Row]) -> Iterator[tuple[int, int]]:
    """Places of rows that are told of together, (start, stop): all of them, or fewer where what is kept ready is large,
    and one where it is too large to be kept. The client may be in no hurry to read what is made of them."""
    columns = [[row[at] for row in rows] for at, _ in plan.ready]
    if not any(None in column for column in columns) and sum(sum(map(len, column)) for column in columns) <= PORTION:
        yield 0, len(rows)
        return
    start, size = 0, 0
    for at, values in enumerate(zip(*columns, strict=True), 1):
        size += sum(_UNKNOWN if value is None else len(value) for value in values)
        if size >= PORTION:
            yield start, at
            start, size = at, 0
    if start < len(rows):
        yield start, len(rows)


def _format_all(template: bytes, columns: list[Iterable[Any]]) -> bytes:
    """The template with the first values of all columns, with the second, and so on: in one step, which takes two
    thirds of the time of one for each."""
    lists = [list(column) for column in columns]
    step, count = len(lists), len(lists[0])
    values: list[Any] = [None] * (step * count)
    for at, column in enumerate(lists):
        values[at::step] = column
    octets: bytes = template * count % tuple(values)
    return octets


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
