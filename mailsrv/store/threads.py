"""Threads of messages: ORDEREDSUBJECT and REFERENCES of RFC 5256 section 3, from what the index knows of each message.

Pure: rows in, trees out; nothing recurses, however deep a thread is. What is compared is given: base subjects are
folded, message ids normalized (quoting removed).

Diagnostics: `by_references` raises SearchLimit for messages whose references are made to cost time.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mailsrv.store.search_budget import SearchLimit

MAX_STEPS = 5_000_000  # up through ancestors, in search of loops; honest mail needs about one a message


class Message(NamedTuple):
    """What threads are made of. `sent` is the internal date where the Date field cannot be read (section 2.2);
    `message_id` may be empty; `parents` are the message ids it refers to, oldest first."""

    uid: int
    sent: int
    subject: str
    is_reply: bool
    message_id: str
    parents: Sequence[str]


class Thread:
    """A message with those under it, in their order; uid 0: a message that nobody has, only at the top of a thread."""

    __slots__ = ("children", "uid")

    def __init__(self, uid: int, children: "list[Thread] | None" = None) -> None:
        self.uid = uid
        self.children = [] if children is None else children


def by_subject(messages: Iterable[Message]) -> list[Thread]:
    """ORDEREDSUBJECT: one thread for each base subject, its first message on top of all others."""
    groups: dict[str, list[Message]] = {}
    for message in sorted(messages, key=_when):
        groups.setdefault(message.subject, []).append(message)
    return [Thread(group[0].uid, [Thread(message.uid) for message in group[1:]]) for group in groups.values()]


def by_references(messages: Sequence[Message]) -> list[Thread]:
    """REFERENCES; `messages` in the order of the mailbox. Raises SearchLimit."""
    parents = _link(messages)
    tops, children = _prune(parents, len(messages))
    return _Subjects(messages, children).merge(tops)


def _when(message: Message) -> tuple[int, int]:
    return message.sent, message.uid


def _link(messages: Sequence[Message]) -> list[int]:
    """Step 1: the parent of each message and then of each dummy, by number; -1 for none."""
    count = len(messages)
    numbers: dict[str, int] = {}
    for number, message in enumerate(messages):
        if message.message_id:
            numbers.setdefault(message.message_id, number)
    parents = [-1] * count
    has_children = [False] * count
    steps = 0
    for number, message in enumerate(messages):
        last = -1
        for reference in message.parents:
            found = numbers.get(reference)
            if found is None:
                found = numbers[reference] = len(parents)
                parents.append(-1)
                has_children.append(False)
            if last >= 0 and parents[found] < 0 and found != last:
                loops, walked = _descends(last, found, parents) if has_children[found] else (False, 0)
                steps += walked
                if not loops:
                    parents[found] = last
                    has_children[last] = True
            last = found
        if last != parents[number]:
            parents[number] = -1
            if last >= 0 and last != number:
                loops, walked = _descends(last, number, parents) if has_children[number] else (False, 0)
                steps += walked
                if not loops:
                    parents[number] = last
                    has_children[last] = True
        if steps > MAX_STEPS:
            raise SearchLimit("the messages refer to each other in too many ways to thread them")
    return parents


def _descends(number: int, ancestor: int, parents: list[int]) -> tuple[bool, int]:
    """Whether a message is below another one, and how many steps it took to see."""
    steps = 0
    while number >= 0:
        if number == ancestor:
            return True, steps
        number = parents[number]
        steps += 1
    return False, steps


def _prune(parents: list[int], count: int) -> tuple[list[int], dict[int, list[int]]]:
    """Steps 2 and 3: the tops of the threads, and the children of each message (and of each dummy that is a top)."""
    # Of each dummy: the message above it (the nearest that is none), or else the highest dummy above it.
    above: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    tops: dict[int, None] = {}
    for number in range(count):
        parent = parents[number]
        if parent < 0:
            tops[number] = None
            continue
        if parent >= count:
            parent = _above(parent, parents, count, above)
            if parent >= count:
                tops[parent] = None
        children.setdefault(parent, []).append(number)
    # A dummy with one child gives its place to it.
    heads = []
    for top in tops:
        below = children.get(top, ())
        if top >= count and len(below) == 1:
            heads.append(below[0])
            del children[top]
        else:
            heads.append(top)
    return heads, children


def _above(dummy: int, parents: list[int], count: int, above: dict[int, int]) -> int:
    """The message above a dummy, or the highest dummy above it, itself perhaps."""
    path = []
    while (parent := parents[dummy]) >= 0:
        if (known := above.get(dummy)) is not None:
            dummy = known
            break
        path.append(dummy)
        dummy = parent
        if dummy < count:
            break
    for passed in path:
        above[passed] = dummy
    return dummy


class _Subjects:
    """Steps 4 to 6: tops with the same base subject come together, siblings are sorted. Numbers below the number of
    messages are messages, all others dummies, which are tops."""

    def __init__(self, messages: Sequence[Message], children: dict[int, list[int]]) -> None:
        self._messages = messages
        self._count = len(messages)
        self._children = children
        self._next_dummy = max([self._count - 1, *children]) + 1

    def merge(self, tops: list[int]) -> list[Thread]:
        """The threads in their order."""
        for top in tops:
            if top >= self._count:
                self._children[top].sort(key=self._when)
        tops.sort(key=self._when)
        table = self._gather(tops)
        merged = dict.fromkeys(tops)  # tops in their order, less those that went under others
        for top in tops:
            subject = self._subject(top)
            if subject and (found := table[subject]) != top:
                self._join(subject, found, top, table, merged)
        return self._grow(list(merged))

    def _gather(self, tops: list[int]) -> dict[str, int]:
        """Step 5 B: one top for each subject that is not empty: a dummy, or what is no reply, if there is one."""
        table: dict[str, int] = {}
        for top in tops:
            if not (subject := self._subject(top)):
                continue
            found = table.get(subject)
            if found is None or (
                found < self._count
                and (top >= self._count or (self._messages[found].is_reply and not self._messages[top].is_reply))
            ):
                table[subject] = top
        return table

    def _join(self, subject: str, found: int, top: int, table: dict[str, int], merged: dict[int, None]) -> None:
        """Step 5 C for one top, whose subject another one has."""
        messages, count = self._messages, self._count
        if found >= count:
            if top >= count:
                self._children[found] += self._children.pop(top)
            else:
                self._children[found].append(top)
            del merged[top]
        elif top < count and messages[top].is_reply and not messages[found].is_reply:
            self._children.setdefault(found, []).append(top)
            del merged[top]
        else:
            dummy = self._next_dummy
            self._next_dummy += 1
            self._children[dummy] = [found, top]
            del merged[found], merged[top]
            merged[dummy] = None
            table[subject] = dummy

    def _subject(self, top: int) -> str:
        return self._messages[top if top < self._count else self._children[top][0]].subject

    def _when(self, number: int) -> tuple[int, int]:
        """By the sent date; a dummy's is that of its first child (section 3, step 4)."""
        message = self._messages[number if number < self._count else self._children[number][0]]
        return message.sent, message.uid

    def _grow(self, tops: list[int]) -> list[Thread]:
        """Step 6, and the trees themselves."""
        when: Callable[[int], tuple[int, int]] = self._when
        for below in self._children.values():
            below.sort(key=when)
        tops.sort(key=when)
        made = {number: Thread(message.uid) for number, message in enumerate(self._messages)}
        for number, below in self._children.items():
            made.setdefault(number, Thread(0)).children = [made[child] for child in below]
        return [made[top] for top in tops]
