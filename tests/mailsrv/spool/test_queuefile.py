"""The first line of a queue file, found however long it is, and files that are not what their names say."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.format import encode_envelope
from mailsrv.spool.queuefile import read_first_line

from tests.mailsrv.spool.place import ID


class Octets:
    def __init__(self, octets):
        self.octets = octets
        self.size = len(octets)
        self.reads = 0

    def read_at(self, offset, count):
        self.reads += 1
        return self.octets[offset : offset + count]


def line(count, size=3, identifier=ID):
    recipients = tuple(Recipient(Address(f"recipient{number}", "remote.example")) for number in range(count))
    return encode_envelope(Envelope(identifier, 1.0, None, recipients, size=size), 7)


@pytest.mark.parametrize(("count", "reads"), [(1, 1), (20, 1), (2000, 3)])
def test_the_line_and_where_the_message_begins(count, reads):
    octets = Octets(line(count) + b"a\r\n")
    queued, start = read_first_line(octets, ID)
    assert (len(queued.envelope.recipients), queued.nonce) == (count, 7)
    assert octets.octets[start:] == b"a\r\n"
    assert octets.reads == reads


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "the first line has no end"),
        (b"x" * 4096, "the first line has no end"),
        (line(1)[:-1], "the first line has no end"),
        (line(1), "has 0 octets of a message of 3"),
        (line(1) + b"a\r\n\r\n", "has 5 octets of a message of 3"),
        (line(1, identifier="dZJjly8m63W9") + b"a\r\n", "is the message dZJjly8m63W9, under another name"),
        (b"Subject: hello\r\n\r\n", "not JSON"),
    ],
)
def test_what_is_not_the_message(octets, complaint):
    with pytest.raises(GrammarError) as caught:
        read_first_line(Octets(octets), ID)
    assert complaint in str(caught.value)


def test_a_line_without_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr("mailsrv.spool.queuefile.MAX_LINE", 100_000)
    octets = Octets(b"x" * 10_000_000)
    with pytest.raises(GrammarError):
        read_first_line(octets, ID)
    assert octets.reads == 3
