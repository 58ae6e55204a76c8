"""What is computed of a message: equal to what the message says, whatever it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.structure import body_structure, envelope
from mailsrv.mail.mime import read_structure
from mailsrv.store import ready
from mailsrv.store.ready import compute, field_values, header_fields, header_of, is_reply
from mailsrv.store.ready_tables import FIELDS, MAX_OCTETS
from tests.mailsrv.mail.messages import case_messages, mutated_messages

MESSAGE = (
    b"Received: from a\r\n\tby b\r\nFrom: =?utf-8?q?J=C3=9Crgen?= <j@example.org>\r\n"
    b"TO: a@example.net,\r\n b@example.net\r\n"
    b"Cc: Team: c@example.net;\r\nSubject: Re: [list] Gro=?utf-8?q?=C3=9F?=\r\nX-Own: 1\r\n"
    b'Date: Tue, 14 Nov 2023 23:30:00 -0200\r\nMessage-ID: <"01.x"@example.org>\r\nIn-Reply-To: <z@example.org>\r\n'
    b"References: <a@example.org>\r\n <b@example.org>\r\n\r\nBody text\r\n"
)


def test_everything_of_a_message():
    ready, search, sort = compute(MESSAGE)
    header = MESSAGE[: MESSAGE.index(b"Body")]
    assert ready.header_size == len(header)
    assert ready.envelope == envelope(header)
    assert ready.structure == body_structure(read_structure(MESSAGE), True)
    assert ready.preview == "Body text"
    assert (
        ready.fields.startswith(b"From: =?utf-8") and b"Received" not in ready.fields and b"X-Own" not in ready.fields
    )
    assert search.sent_day == 19675  # the sender's 14 November
    assert search.subject == "re: [list] gross"
    assert search.sender == "jürgen <j@example.org>"
    assert search.recipient == "a@example.net, b@example.net"
    assert search.bcc == ""
    assert sort.sent == 1_700_011_800
    assert (sort.subject, sort.is_reply) == ("gross", 1)
    assert (sort.from_mailbox, sort.to_mailbox, sort.cc_mailbox) == ("j", "a", "team")
    assert (sort.from_name, sort.to_name) == ("jürgen", "a@example.net")
    assert sort.message_id == "01.x@example.org"
    assert sort.parents == "a@example.org\nb@example.org"


def test_without_references_the_first_id_of_in_reply_to_counts():
    assert compute(b"References: none\r\nIn-Reply-To: x <a@b> <c@d>\r\n\r\n").sort.parents == "a@b"


def test_a_message_without_anything():
    ready, search, sort = compute(b"")
    assert ready.header_size == 0
    assert ready.fields == b""
    assert search == (None, "", "", "", "", "")
    assert sort.sent is None


def test_what_is_too_large_is_left_to_the_file():
    long = b"Subject: " + b"x" * MAX_OCTETS + b"\r\n\r\n"
    row = compute(long).ready
    assert (row.envelope, row.fields) == (None, None)
    assert row.structure is not None
    parts = b"".join(b"--b\r\nContent-Description: %b\r\n\r\n\r\n" % (b"d" * 200) for _ in range(900))
    many = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n"
    row = compute(many).ready
    assert row.structure is None
    assert row.envelope is not None


@given(mutated_messages())
def test_the_rows_say_what_the_message_says(octets):
    row, search, sort = compute(octets)
    header = header_of(octets)
    assert row.header_size == len(header)
    assert row.envelope == envelope(header)
    assert row.fields == header_fields(header, FIELDS)
    for names in ({b"Subject", b"date"}, {b"from"}, FIELDS):
        assert header_fields(row.fields, names) == header_fields(header, names)
    assert all(text == text.strip() and "\0" not in text for text in search[1:])
    assert "\n" not in sort.subject


@given(st.binary(max_size=400))
def test_nothing_stops_it(octets):
    ready, _texts, _sort = compute(octets)
    assert ready.envelope is None or ready.envelope.startswith(b"(")


HEADER = b"A: 1\r\nb: 2\r\n\tmore\r\nnot a field\r\nB : 3\r\nC:4\r\nBb: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("names", "others", "found"),
    [
        ([b"b"], False, b"b: 2\r\n\tmore\r\nB : 3\r\n"),
        ([b"B", b"a"], False, b"A: 1\r\nb: 2\r\n\tmore\r\nB : 3\r\n"),
        ([b"b"], True, b"A: 1\r\nC:4\r\nBb: 5\r\n"),
        ([], False, b""),
        ([], True, b"A: 1\r\nb: 2\r\n\tmore\r\nB : 3\r\nC:4\r\nBb: 5\r\n"),
        ([b".", b"[a", b"("], False, b""),
    ],
)
def test_fields_of_a_header(names, others, found):
    assert header_fields(HEADER, names, others) == found
    assert header_fields(HEADER.replace(b"\r\n", b"\n"), names, others) == found.replace(b"\r\n", b"\n")


@given(mutated_messages())
def test_many_names_are_found_as_few_are(octets):
    header = header_of(octets)
    few = sorted(FIELDS)[:: len(FIELDS) // 10]
    never = [b"x-never-%d" % number for number in range(20)]
    assert header_fields(header, few) == header_fields(header, few + never)


def test_fields_and_others_are_all_fields():
    for octets in case_messages():
        header = header_of(octets)
        kept, others, everything = (
            [field for field in re.split(rb"\r\n(?![ \t])", found) if field]
            for found in (
                header_fields(header, FIELDS),
                header_fields(header, FIELDS, True),
                header_fields(header, [], True),
            )
        )
        assert sorted(kept + others) == sorted(everything)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n"])
def test_a_header_that_the_message_ends_in(end):
    expected = b"A: 1\nB: 2\n" if end == b"\n" else b"B: 2\r\n"
    header = b"A: 1\n" + b"B: 2" + end if end == b"\n" else b"A: 1\r\nB: 2" + end
    assert header_fields(header, [b"a", b"b"] if end == b"\n" else [b"b"]) == expected


def test_values_of_a_field():
    assert field_values(HEADER, b"b") == [b" 2\r\n\tmore", b" 3"]
    assert field_values(HEADER, b"z") == []


@pytest.mark.parametrize("size", [10, ready._USUAL_HEADER - 8, ready._USUAL_HEADER, ready._USUAL_HEADER + 5])
def test_the_header_of_a_message(size):
    header = b"A: " + b"x" * size + b"\r\n\r\n"
    assert header_of(header + b"body\r\n\r\n") == header


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("hello", False),
        ("Re: hello", True),
        ("RE[2]: hello", True),
        ("Fwd: x", True),
        ("fw:x", True),
        ("[list] re : x", True),
        ("[a][b] x", False),
        ("hello (fwd)", True),
        ("hello (FWD)  ", True),
        ("[fwd: hello]", True),
        ("[list] [Fwd: hello]", True),
        ("[fwd: hello", False),
        ("regarding: x", False),
        ("", False),
        ("[fwd] x", False),
    ],
)
def test_marks_of_replies(subject, expected):
    assert is_reply(subject) is expected


def test_marks_are_found_in_linear_time():
    for subject in ("[" * 60_000, "[a]" * 20_000, "[fwd:" * 12_000, "re [" * 15_000, " " * 60_000):
        is_reply(subject)
    assert re.fullmatch(ready._MESSAGE_ID, "<" + '"' * 1000) is None


def test_ids_lose_their_quotes():
    assert compute(rb'Message-ID: <"a\"b c"@x>' + b"\r\n\r\n").sort.message_id == 'a"b c@x'
    assert compute(b"Message-ID: nonsense\r\n\r\n").sort.message_id == ""


def test_the_nearest_parents_stay():
    references = b" ".join(b"<%d@x>" % number for number in range(2000))
    parents = compute(b"References: " + references + b"\r\n\r\n").sort.parents.split("\n")
    assert parents[-1] == "1999@x"
    assert len(parents) == 500


def broken(*_):
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("preview", {"preview"}),
        ("body_structure", {"structure"}),
        ("envelope_of", {"envelope"}),
        ("read_structure", {"header_size", "structure", "preview"}),
    ],
)
def test_a_bug_costs_what_was_to_be_read(name, lost, monkeypatch):
    whole = compute(MESSAGE)
    monkeypatch.setattr(ready, name, broken)
    with pytest.raises(ZeroDivisionError):
        compute(MESSAGE)
    told = []
    row, search, sort = compute(MESSAGE, told.append)
    assert list(map(str, told)) == ["a bug"]
    assert row == whole.ready._replace(**{field: 0 if field == "header_size" else None for field in lost})
    assert (search, sort) == (whole.search, whole.sort)


def test_a_bug_in_dates_costs_the_date(monkeypatch):
    monkeypatch.setattr(ready, "read_sent_date", broken)
    told = []
    found = compute(b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nSubject: x\r\n\r\n", told.append)
    assert (found.search.sent_day, found.search.subject, found.sort.sent, len(told)) == (None, "x", None, 1)
