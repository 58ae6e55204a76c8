"""Threads: the examples of RFC 5256, and any messages against its steps taken one by one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store import threads
from mailsrv.store.search_budget import SearchLimit
from mailsrv.store.threads import Message, by_references, by_subject


def shown(found):
    """Trees as nested tuples."""
    return [(thread.uid, shown(thread.children)) for thread in found]


def numbered(*rows):
    """Messages from (subject, id, parents), a second apart; `Re: ` marks a reply."""
    return [
        Message(uid, uid, subject.removeprefix("Re: "), subject.startswith("Re: "), message_id, parents.split())
        for uid, (subject, message_id, parents) in enumerate(rows, 1)
    ]


def test_ordered_by_subject():
    messages = [
        Message(1, 30, "b", False, "", ()),
        Message(2, 10, "a", True, "", ()),
        Message(3, 40, "a", False, "", ()),
        Message(4, 10, "b", False, "", ()),
        Message(5, 20, "a", False, "", ()),
    ]
    assert shown(by_subject(messages)) == [(2, [(5, []), (3, [])]), (4, [(1, [])])]


def test_a_chain():
    messages = numbered(("a", "1", ""), ("Re: a", "2", "1"), ("Re: a", "3", "1 2"), ("b", "4", ""))
    assert shown(by_references(messages)) == [(1, [(2, [(3, [])])]), (4, [])]


def test_a_missing_message_holds_its_children_together():
    messages = numbered(("Re: a", "1", "0"), ("Re: a", "2", "0"), ("x", "3", "9"))
    assert shown(by_references(messages)) == [(0, [(1, []), (2, [])]), (3, [])]


def test_missing_messages_within_a_thread_go():
    messages = numbered(("a", "1", ""), ("Re: a", "4", "1 2 3"), ("Re: a", "5", "1 2 3"))
    assert shown(by_references(messages)) == [(1, [(2, []), (3, [])])]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "1", ""), ("Re: a", "2", "")], [(1, [(2, [])])]),
        ([("Re: a", "1", ""), ("a", "2", "")], [(2, [(1, [])])]),
        ([("a", "1", ""), ("a", "2", "")], [(0, [(1, []), (2, [])])]),
        ([("Re: a", "1", ""), ("Re: a", "2", "")], [(0, [(1, []), (2, [])])]),
        ([("", "1", ""), ("", "2", "")], [(1, []), (2, [])]),
        ([("Re: a", "1", "0"), ("Re: a", "2", "0"), ("a", "3", "")], [(0, [(1, []), (2, []), (3, [])])]),
    ],
)
def test_tops_with_the_same_subject_come_together(rows, expected):
    assert shown(by_references(numbered(*rows))) == expected


def test_loops_are_not_made():
    messages = numbered(("a", "1", "2"), ("b", "2", "1"), ("c", "3", "3"))
    assert shown(by_references(messages)) == [(2, [(1, [])]), (3, [])]


def test_of_one_id_the_first_message_counts():
    messages = numbered(("a", "1", ""), ("b", "1", ""), ("Re: a", "2", "1"))
    assert shown(by_references(messages)) == [(1, [(3, [])]), (2, [])]


def test_a_thread_may_be_as_deep_as_it_likes():
    count = 20_000
    messages = numbered(*[("a", str(number), str(number - 1)) for number in range(1, count + 1)])
    found = by_references(messages)
    depth = 0
    while found:
        assert len(found) == 1
        found = found[0].children
        depth += 1
    assert depth == count


def test_what_is_made_to_cost_time_is_ended(monkeypatch):
    monkeypatch.setattr(threads, "MAX_STEPS", 1000)
    # Many messages with children come under the lower end of a long chain, which is walked for each.
    chain = " ".join(f"c{number}" for number in range(100))
    heads = [row for number in range(20) for row in (("", "", f"h{number}"), ("", "", f"c99 h{number}"))]
    messages = numbered(("", "", chain), *heads)
    with pytest.raises(SearchLimit):
        by_references(messages)


# The steps of section 3, one by one


class Node:
    def __init__(self, message=None):
        self.message = message
        self.parent = None
        self.children = []

    def link(self, child):
        if child.parent is not None:
            child.parent.children.remove(child)
        child.parent = self
        self.children.append(child)

    def unlink(self):
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def descends_from(self, other):
        node = self
        while node is not None:
            if node is other:
                return True
            node = node.parent
        return False

    @property
    def first(self):
        return self.message or self.children[0].message


def steps(messages):
    table = {}
    nodes = []
    for number, message in enumerate(messages):
        identity = message.message_id
        if not identity or identity in {other.message_id for other in messages[:number]}:
            identity = ("unique", number)
        nodes.append(table.setdefault(identity, Node()))
        nodes[-1].message = message
    for node in nodes:  # step 1
        last = None
        for reference in node.message.parents:
            found = table.setdefault(reference, Node())
            if last is not None and found.parent is None and not last.descends_from(found):
                last.link(found)
            last = found
        if node.parent is not last:
            node.unlink()
        if last is not None and node.parent is None and not last.descends_from(node):
            last.link(node)
    root = Node()  # step 2
    for node in table.values():
        if node.parent is None:
            root.link(node)
    prune(root, root)  # step 3
    root.children.sort(key=when)  # step 4
    subjects = {}
    for node in root.children:  # step 5
        subject = node.first.subject
        found = subjects.get(subject)
        if subject and (
            found is None
            or (found.message and (not node.message or (found.message.is_reply and not node.message.is_reply)))
        ):
            subjects[subject] = node
    for node in list(root.children):
        subject = node.first.subject
        if not subject or (found := subjects[subject]) is node:
            continue
        if not found.message and not node.message:
            for child in list(node.children):
                found.link(child)
            node.unlink()
        elif not found.message or (node.message and node.message.is_reply and not found.message.is_reply):
            found.link(node)
        else:
            dummy = Node()
            root.link(dummy)
            dummy.link(found)
            dummy.link(node)
            subjects[subject] = dummy
    order(root)  # step 6
    return nested(root.children)


def when(node):
    if node.message is None:
        node.children.sort(key=when)
    return node.first.sent, node.first.uid


def prune(node, root):
    for child in list(node.children):
        prune(child, root)
    for child in list(node.children):
        if child.message is None and (not child.children or node is not root or len(child.children) == 1):
            for inner in list(child.children):
                node.link(inner)
            child.unlink()


def order(node):
    for child in node.children:
        order(child)
    node.children.sort(key=when)


def nested(nodes):
    return [(node.message.uid if node.message else 0, nested(node.children)) for node in nodes]


NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
ROWS = st.tuples(
    st.integers(0, 4), st.sampled_from(["", "x", "y"]), st.booleans(), NAMES | st.just(""), st.lists(NAMES, max_size=4)
)


@given(st.lists(ROWS, max_size=9))
def test_any_messages_are_threaded_as_the_steps_say(rows):
    messages = [Message(uid, *row) for uid, row in enumerate(rows, 1)]
    assert shown(by_references(messages)) == steps(messages)


@given(st.lists(ROWS, max_size=12))
def test_each_message_stands_in_one_place(rows):
    messages = [Message(uid, *row) for uid, row in enumerate(rows, 1)]
    for found in (by_references(messages), by_subject(messages)):
        uids = list(itertools.chain.from_iterable(flat(thread) for thread in found))
        assert sorted(uid for uid in uids if uid) == list(range(1, len(rows) + 1))
        assert all(thread.uid or len(thread.children) > 1 for thread in found)


def flat(thread):
    yield thread.uid
    for child in thread.children:
        assert child.uid
        yield from flat(child)
