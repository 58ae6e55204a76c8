"""Flags in the header fields of an mbox."""

import pytest

from mailsrv.mail.mbox_status import format_status, is_placeholder, take_status


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        (b"Status: RO\n", {"\\Seen"}),
        (b"Status: O\nX-Status: AFDT\n", {"\\Answered", "\\Flagged", "\\Deleted", "\\Draft"}),
        (b"status: ro\r\nX-Keywords: a $b\r\n c\r\n", {"\\Seen", "a", "$b", "c"}),
        (b"X-Mozilla-Status: 1005\nX-Mozilla-Status2: 00800000\n", {"\\Seen", "\\Flagged", "$Forwarded"}),
        (b"X-UID: 12\nX-IMAPbase: 1 2\nX-Mozilla-Keys: $label1    \n", {"$label1"}),
    ],
)
def test_they_are_read_and_taken_out(fields: bytes, flags: set[str]) -> None:
    header = b"From: a\n" + fields + b"Subject: x\n\n"
    assert take_status(header) == (b"From: a\nSubject: x\n\n", flags)


def test_what_is_the_messages_own_stays() -> None:
    header = b"Status: closed\nX-Status: none\nSubject: Status: RO\n\n"
    assert take_status(header) == (header, frozenset())


@pytest.mark.parametrize("flags", [set(), {"\\Seen"}, {"\\Flagged", "\\Draft", "\\Answered", "\\Deleted", "b", "a"}])
def test_written_and_read(flags: set[str]) -> None:
    assert take_status(format_status(flags) + b"S: x\n") == (b"S: x\n", flags)


def test_the_placeholder_of_c_client() -> None:
    assert is_placeholder(b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n")
    assert not is_placeholder(b"Subject: FOLDER INTERNAL DATA\n")
