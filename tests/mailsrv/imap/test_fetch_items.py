"""Items of FETCH as values."""

from mailsrv.imap.fetch_items import Binary, BinarySize, Fetch, Item, Preview, Section, Text
from mailsrv.imap.numbers import SequenceSet

ONE = SequenceSet.parse(b"1")


def test_what_makes_messages_seen() -> None:
    body = Section((), Text.ALL, (), False, None, b"BODY[]")
    peek = Section((), Text.ALL, (), True, None, b"BODY[]")
    assert Fetch(ONE, (Item.UID, body)).sees
    assert Fetch(ONE, (Binary((1,), False, None, b"BINARY[1]"),)).sees
    assert not Fetch(ONE, (Item.FLAGS, peek, Preview(), BinarySize((1,), b"BINARY.SIZE[1]"))).sees


def test_items_are_named_as_on_the_wire() -> None:
    assert Item.RFC822_SIZE.value == b"RFC822.SIZE"
    assert all(item.value == item.name.replace("_", ".").encode() for item in Item)
    assert len({hash(item) for item in Item}) == len(Item)
