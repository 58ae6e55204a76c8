"""Responses and codes of extensions as octets."""

import pytest

from mailsrv.imap import extended_responses as extended
from mailsrv.imap.numbers import NumberSet


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (
            extended.acl("INBOX", [("Fred", "rwipslxetad"), ("a b", "lrs")], False),
            b'* ACL INBOX Fred rwipslxetad "a b" lrs\r\n',
        ),
        (extended.my_rights("INBOX", "", False), b'* MYRIGHTS INBOX ""\r\n'),
        (extended.list_rights("x", "smith", ["la", "r", ""], False), b'* LISTRIGHTS x smith la r ""\r\n'),
        (extended.quota("", [("STORAGE", 10, 512), ("MESSAGE", 1, 2)]), b'* QUOTA "" (STORAGE 10 512 MESSAGE 1 2)\r\n'),
        (extended.quota("r", []), b"* QUOTA r ()\r\n"),
        (extended.quota_root("INBOX", ["", "a"], False), b'* QUOTAROOT INBOX "" a\r\n'),
        (
            extended.metadata("", [("/shared/comment", b"My own"), ("/private/x", None)], False),
            b'* METADATA "" (/shared/comment "My own" /private/x NIL)\r\n',
        ),
        (extended.metadata("x", [("/private/a", b"\0")], False), b"* METADATA x (/private/a ~{1}\r\n\0)\r\n"),
        (extended.metadata_changed("x", ["/private/a"], False), b"* METADATA x /private/a\r\n"),
        (extended.identity([("name", "mailsrv")]), b'* ID ("name" "mailsrv")\r\n'),
        (extended.identity([]), b"* ID NIL\r\n"),
    ],
)
def test_responses(octets: bytes, expected: bytes) -> None:
    assert octets == expected


@pytest.mark.parametrize(
    ("forest", "expected"),
    [
        ([], b"* THREAD\r\n"),
        ([(2, [])], b"* THREAD (2)\r\n"),
        ([(2, []), (3, [(6, [(4, [(23, [])]), (44, [(7, [(96, [])])])])])], b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"),
        ([(None, [(3, []), (5, [])])], b"* THREAD ((3)(5))\r\n"),
        ([(1, [(2, []), (None, [(3, []), (4, [])])])], b"* THREAD (1 (2)((3)(4)))\r\n"),
    ],
)
def test_threads(forest: list[extended.Node], expected: bytes) -> None:
    assert extended.threaded(forest) == expected


def test_deep_threads() -> None:
    node: extended.Node = (1, [])
    for number in range(2, 50_000):
        node = (number, [node] if number % 3 else [node, (number, [])])
    assert extended.threaded([node]).count(b"(") == extended.threaded([node]).count(b")")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (extended.permanent_flags(["\\Seen", "\\*"]), "PERMANENTFLAGS (\\Seen \\*)"),
        (extended.append_uid(38505, NumberSet.of([3955, 3956])), "APPENDUID 38505 3955:3956"),
        (extended.copy_uid(38505, [(304, 3956), (319, 3957), (320, 3958)]), "COPYUID 38505 304,319:320 3956:3958"),
        (extended.modified(NumberSet.of([7, 9])), "MODIFIED 7,9"),
        (extended.in_progress("A001", 454, 1000), 'INPROGRESS ("A001" 454 1000)'),
        (extended.bad_event(["MessageNew", "FlagChange"]), "BADEVENT (MessageNew FlagChange)"),
    ],
)
def test_codes(code: str, expected: str) -> None:
    assert code == expected
