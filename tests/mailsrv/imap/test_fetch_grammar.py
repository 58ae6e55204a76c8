"""FETCH in all its forms."""

import pytest

from mailsrv.imap.fetch_items import Binary, BinarySize, Fetch, FetchItem, Item, Preview, Section, Text
from mailsrv.imap.numbers import SequenceSet
from mailsrv.imap.partial import PartialRange
from tests.mailsrv.imap.parsing import complain, read

FAST = (Item.FLAGS, Item.INTERNALDATE, Item.RFC822_SIZE)


def section(label: bytes, *part: int, text: Text = Text.ALL, peek: bool = False, **more: object) -> Section:
    fields, partial = more.get("fields", ()), more.get("partial")
    return Section(part, text, fields, peek, partial, label)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (b"FAST", FAST),
        (b"all", (*FAST, Item.ENVELOPE)),
        (b"FULL", (*FAST, Item.ENVELOPE, Item.BODY)),
        (b"FLAGS", (Item.FLAGS,)),
        (b"(FLAGS UID FLAGS)", (Item.FLAGS, Item.UID)),
        (b"(body BODYSTRUCTURE envelope)", (Item.BODY, Item.BODYSTRUCTURE, Item.ENVELOPE)),
        (b"(MODSEQ EMAILID THREADID SAVEDATE)", (Item.MODSEQ, Item.EMAILID, Item.THREADID, Item.SAVEDATE)),
        (b"RFC822", (section(b"RFC822"),)),
        (b"RFC822.HEADER", (section(b"RFC822.HEADER", text=Text.HEADER, peek=True),)),
        (b"RFC822.TEXT", (section(b"RFC822.TEXT", text=Text.TEXT),)),
        (b"RFC822.SIZE", (Item.RFC822_SIZE,)),
        (b"PREVIEW", (Preview(),)),
        (b"PREVIEW (LAZY)", (Preview(True),)),
        (b"(PREVIEW (lazy LAZY) UID)", (Preview(True), Item.UID)),
        (b"BODY[]", (section(b"BODY[]"),)),
        (b"body.peek[]", (section(b"BODY[]", peek=True),)),
        (b"BODY[]<0.2048>", (section(b"BODY[]<0>", partial=(0, 2048)),)),
        (b"BODY[4.1.MIME]", (section(b"BODY[4.1.MIME]", 4, 1, text=Text.MIME),)),
        (b"BODY[header]", (section(b"BODY[HEADER]", text=Text.HEADER),)),
        (b"BODY[TEXT]", (section(b"BODY[TEXT]", text=Text.TEXT),)),
        (b"BODY[1]", (section(b"BODY[1]", 1),)),
        (
            b"BODY[3.HEADER.FIELDS (DATE From)]",
            (section(b"BODY[3.HEADER.FIELDS (DATE From)]", 3, text=Text.FIELDS, fields=(b"DATE", b"From")),),
        ),
        (
            b'BODY.PEEK[HEADER.FIELDS.NOT ("X-A" {3}\r\nX(B)]<5.1>',
            (
                section(
                    b'BODY[HEADER.FIELDS.NOT (X-A "X(B")]<5>',
                    text=Text.FIELDS_NOT,
                    fields=(b"X-A", b"X(B"),
                    peek=True,
                    partial=(5, 1),
                ),
            ),
        ),
        (b"BINARY[1.2]<3.4>", (Binary((1, 2), False, (3, 4), b"BINARY[1.2]<3>"),)),
        (b"BINARY.PEEK[]", (Binary((), True, None, b"BINARY[]"),)),
        (b"BINARY.SIZE[3]", (BinarySize((3,), b"BINARY.SIZE[3]"),)),
        (
            b"(UID BODY.PEEK[HEADER.FIELDS (A)] FLAGS)",
            (Item.UID, section(b"BODY[HEADER.FIELDS (A)]", text=Text.FIELDS, fields=(b"A",), peek=True), Item.FLAGS),
        ),
    ],
)
def test_items(text: bytes, items: tuple[FetchItem, ...]) -> None:
    for _ in range(2):  # the second time from memory
        assert read("FETCH", b"1:* " + text) == Fetch(SequenceSet.parse(b"1:*"), items)


def test_uid_comes_first_in_uid_fetch() -> None:
    assert read("UID FETCH", b"7 (FLAGS UID)") == Fetch(SequenceSet.parse(b"7"), (Item.UID, Item.FLAGS), uid=True)
    assert read("UID FETCH", b"7 FAST") == Fetch(SequenceSet.parse(b"7"), (Item.UID, *FAST), uid=True)


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("FETCH", b"(CHANGEDSINCE 12345)", {"changed_since": 12345}),
        ("UID FETCH", b"(changedsince 12345 VANISHED)", {"changed_since": 12345, "vanished": True, "uid": True}),
        ("UID FETCH", b"(PARTIAL -1:-100)", {"partial": PartialRange(1, 100, True), "uid": True}),
        (
            "UID FETCH",
            b"(PARTIAL 1:5 VANISHED CHANGEDSINCE 1)",
            {"partial": PartialRange(1, 5), "vanished": True, "changed_since": 1, "uid": True},
        ),
    ],
)
def test_modifiers(name: str, text: bytes, fields: dict[str, object]) -> None:
    items = (Item.UID, Item.FLAGS) if fields.get("uid") else (Item.FLAGS,)
    assert read(name, b"1 (FLAGS) " + text, "QRESYNC") == Fetch(SequenceSet.parse(b"1"), items, **fields)  # type: ignore[arg-type]
    assert read(name, b"1 PREVIEW " + text, "QRESYNC").items[-1] == Preview()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "expected a space and a set of numbers"),
        (b"1", "expected a space and an item like FLAGS or BODY[] at octet 8"),
        (b"x FLAGS", "expected a set of numbers"),
        (b"1 ", "expected an item like FLAGS"),
        (b"1 FLAG", "expected an item like FLAGS or BODY[] at octet 9"),
        (b"1 ()", "expected an item like FLAGS or BODY[] at octet 10"),
        (b"1 (FLAGS", "expected a space or the end of the list"),
        (b"1 (FLAGS  UID)", "expected an item"),
        (b"1 (FAST)", "expected an item"),
        (b"1 BODY[", "expected HEADER, HEADER.FIELDS, TEXT or a part at octet 14"),
        (b"1 BODY[1", "expected the end of a section"),
        (b"1 BODY[MIME]", "expected HEADER"),
        (b"1 BODY[0]", "expected a part"),
        (b"1 BODY[1.]", "expected HEADER"),
        (b"1 BODY[HEADER.FIELDS]", "expected a space and a list of fields"),
        (b"1 BODY[HEADER.FIELDS ()]", "expected a field name"),
        (b'1 BODY[HEADER.FIELDS ("a b")]', "expected a field name"),
        (b'1 BODY[HEADER.FIELDS ("a:")]', "expected a field name"),
        (b"1 BODY[]<0>", "expected a dot and a count"),
        (b"1 BODY[]<0.0>", "expected a count of at least 1"),
        (b"1 BODY[]<-1.5>", "expected the first octet"),
        (b"1 BODY.PEEK", "expected an item"),
        (b"1 BINARY", "expected an item"),
        (b"1 BINARY[TEXT]", "expected the end of a part"),
        (b"1 BINARY.SIZE[1]<0.1>", "expected a space and a list of modifiers"),
        (b"1 FLAGS[]", "expected an item"),
        (b"1 FLAGS UID", "expected a list of modifiers"),
        (b"1 FLAGS (FOO)", "expected CHANGEDSINCE, VANISHED or PARTIAL"),
        (b"1 FLAGS (CHANGEDSINCE)", "expected a space and a mod-sequence"),
        (b"1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)", "each once"),
        (b"1 FLAGS (CHANGEDSINCE 1", "expected the end of the modifiers"),
        (b"1 FLAGS (CHANGEDSINCE 1 VANISHED)", "BAD VANISHED needs UID FETCH"),
        (b"1 FLAGS (PARTIAL 1:2)", "BAD PARTIAL needs UID FETCH"),
    ],
)
def test_what_is_wrong(text: bytes, complaint: str) -> None:
    assert complaint in complain("FETCH", text, "QRESYNC")


def test_vanished_needs_qresync() -> None:
    assert "BAD VANISHED needs" in complain("UID FETCH", b"1 FLAGS (CHANGEDSINCE 1 VANISHED)")
    assert "BAD VANISHED needs" in complain("UID FETCH", b"1 FLAGS (VANISHED)", "QRESYNC")


def test_lists_are_bounded() -> None:
    assert "at most 200" in complain("FETCH", b"1 (" + b" ".join([b"FLAGS"] * 201) + b")")
    assert "at most 500" in complain("FETCH", b"1 BODY[HEADER.FIELDS (" + b" ".join([b"A"] * 501) + b")]")
