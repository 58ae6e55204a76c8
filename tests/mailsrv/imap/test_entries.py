"""GETMETADATA and SETMETADATA."""

import pytest

from mailsrv.imap.entries import GetMetadata, SetMetadata
from tests.mailsrv.imap.parsing import complain, read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'"" /shared/comment', GetMetadata("", ("/shared/comment",))),
        (b'INBOX (/shared/Comment "/private/comment")', GetMetadata("INBOX", ("/shared/comment", "/private/comment"))),
        (b'INBOX ("/shared/comment")', GetMetadata("INBOX", ("/shared/comment",))),
        (b'(MAXSIZE 1024 DEPTH infinity) "INBOX" (/private/a)', GetMetadata("INBOX", ("/private/a",), None, 1024)),
        (b'"INBOX" (DEPTH 1) (/private/filters/values)', GetMetadata("INBOX", ("/private/filters/values",), 1)),
        (b'"INBOX" (MAXSIZE 10) /private/a', GetMetadata("INBOX", ("/private/a",), 0, 10)),
    ],
)
def test_get(text: bytes, found: GetMetadata) -> None:
    assert read("GETMETADATA", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'INBOX (/private/comment "My comment")', (("/private/comment", b"My comment"),)),
        (b"INBOX (/private/a NIL /shared/b {3}\r\na\r\n)", (("/private/a", None), ("/shared/b", b"a\r\n"))),
        (b"INBOX (/private/a ~{3}\r\n\0\0\0)", (("/private/a", b"\0\0\0"),)),
        (b'INBOX (/private/a "1" /PRIVATE/A "2")', (("/private/a", b"2"),)),
    ],
)
def test_set(text: bytes, found: tuple[tuple[str, bytes | None], ...]) -> None:
    assert read("SETMETADATA", text) == SetMetadata("INBOX", found)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("GETMETADATA", b"INBOX", "expected a space and entries"),
        ("GETMETADATA", b"INBOX ()", "expected DEPTH or MAXSIZE"),
        ("GETMETADATA", b"INBOX comment", "expected an entry like /private/comment"),
        ("GETMETADATA", b"INBOX /vendor/x", "expected an entry"),
        ("GETMETADATA", b"INBOX /private", "expected an entry"),
        ("GETMETADATA", b"INBOX /private/a/", "expected an entry"),
        ("GETMETADATA", b"INBOX /private//a", "expected an entry"),
        ("GETMETADATA", b'INBOX "/private/*"', "expected an entry"),
        ("GETMETADATA", b'INBOX "/private/' + b"a" * 1024 + b'"', "expected an entry"),
        ("GETMETADATA", b"(DEPTH 2) INBOX /private/a", "expected 0, 1 or infinity"),
        ("GETMETADATA", b"(MAXSIZE x) INBOX /private/a", "expected a number of octets"),
        ("GETMETADATA", b"(DEPTH 1) INBOX (DEPTH 1) /private/a", "expected an entry"),
        ("SETMETADATA", b"INBOX ()", "expected an entry"),
        ("SETMETADATA", b"INBOX (/private/a)", "expected a space and a value"),
        ("SETMETADATA", b"INBOX (/private/a b)", "expected a value: a string or NIL"),
        ("SETMETADATA", b"INBOX /private/a NIL", "expected a list of entries and values"),
    ],
)
def test_what_is_wrong(name: str, text: bytes, complaint: str) -> None:
    assert complaint in complain(name, text)
