"""Scanning headers: ends, counts, removal, faults, garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.header import Header, scan, unfold

MESSAGE = (
    b"Received: from a\r\n\tby b; date\r\n"
    b"RECEIVED : from c\r\n"
    b"Received-SPF: pass\r\n"
    b"X-Received: no\r\n"
    b"Bcc: secret@example.org,\r\n other@example.org\r\n"
    b"From: a@example.org\r\n"
    b"bcc:\r\n"
    b"Subject: Received: not this\r\n"
    b"\r\n"
    b"Received: in the body\r\nBcc: body\r\n"
)


def header_of(message: bytes) -> Header:
    found = scan(message, True)
    assert found is not None
    return found


def test_counts_and_presence() -> None:
    header = header_of(MESSAGE)
    assert MESSAGE[header.length :].startswith(b"Received: in the body")
    assert header.count(b"received") == 2
    assert header.count(b"bcc") == 2
    assert header.count(b"date") == 0
    assert header.has(b"from")
    assert not header.has(b"rec")
    assert not header.has(b"sender")


def test_values_keep_their_folds() -> None:
    header = header_of(MESSAGE)
    assert header.values(b"bcc") == [b" secret@example.org,\r\n other@example.org", b""]
    assert header.values(b"sender") == []
    assert unfold(header.values(b"bcc")[0]) == b"secret@example.org, other@example.org"


def test_removal_takes_continuation_lines_along() -> None:
    assert header_of(MESSAGE).without(frozenset({b"bcc"})) == (
        b"Received: from a\r\n\tby b; date\r\nRECEIVED : from c\r\nReceived-SPF: pass\r\nX-Received: no\r\n"
        b"From: a@example.org\r\nSubject: Received: not this\r\n"
    )


def test_removal_of_nothing_gives_the_same_object() -> None:
    header = header_of(MESSAGE)
    assert header.without(frozenset({b"return-path"})) is header.octets


def test_last_field_without_line_end_is_removed_too() -> None:
    header = header_of(b"From: a@b.example\r\nBcc: x@y.example")
    assert header.without(frozenset({b"bcc"})) == b"From: a@b.example\r\n"


def test_fields_may_be_kept_by_what_they_say() -> None:
    header = header_of(b"A: 1\r\nB: x\r\n y\r\nA: 2\r\n\r\n")
    seen = []

    def keep(name: bytes, value: bytes) -> bool:
        seen.append((name, value))
        return value == b" 2"

    assert header.without(frozenset({b"a", b"b"}), keep) == b"A: 2\r\n"
    assert seen == [(b"a", b" 1"), (b"b", b" x\r\n y"), (b"a", b" 2")]


def test_fields_as_they_stand() -> None:
    header = header_of(b"A : 1\r\nb:x\r\n\ty\r\nnot a field\r\nC: z")
    assert list(header.raw_fields()) == [
        (b"a", b"A : 1\r\n"), (b"b", b"b:x\r\n\ty\r\n"), (b"c", b"C: z\r\n"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "octets", "length"),
    [
        (b"", b"", 0),
        (b"\r\nbody\r\n", b"", 2),
        (b"A: b\r\n", b"A: b\r\n", 6),
        (b"A: b\r\n\r\n", b"A: b\r\n", 8),
        (b"A: b\r\n\r\nbody\r\n\r\nmore", b"A: b\r\n", 8),
    ],
)
def test_where_headers_end(message: bytes, octets: bytes, length: int) -> None:
    header = header_of(message)
    assert (header.octets, header.length) == (octets, length)


def test_an_unfinished_head_is_no_header_yet() -> None:
    assert scan(b"A: b\r\nC: d", False) is None
    assert scan(b"A: b\r\n\r\nC", False) is not None


@pytest.mark.parametrize(
    ("message", "line", "begins"),
    [
        (b"A: b\r\n c\r\nD:e\r\n\r\n", 0, True),
        (b"A b\r\n\r\n", 1, False),
        (b" A: b\r\n\r\n", 1, False),
        (b"A: b\r\nhello world\r\nC: d\r\n\r\n", 2, True),
        (b"A: b\r\n: no name\r\n\r\n", 2, True),
        (b"A: b\r\nX\xe9: d\r\n\r\n", 2, True),
        (b"From someone Tue\r\nA: b\r\n\r\n", 1, False),
        (b"\r\nbody", 0, True),
        (b"just text\r\n", 1, False),
    ],
)
def test_faults(message: bytes, line: int, begins: bool) -> None:
    header = header_of(message)
    assert header.first_fault() == line
    assert header.begins is begins


@given(st.binary(max_size=400), st.booleans())
def test_garbage_never_fails_and_nothing_is_lost(message: bytes, whole: bool) -> None:
    header = scan(message, whole)
    if header is None:
        assert not whole
        return
    assert message.startswith(header.octets)
    header.first_fault()
    fields = list(header.fields())
    assert sum(len(name) + len(value) for name, value in fields) <= len(header.octets)
    left = header.without(frozenset(name for name, _ in fields))
    assert len(left) <= len(header.octets)
    assert not list(scan(left + b"\r\n", True).fields()) or b"\r\n\r\n" in left + b"\r\n"


def test_long_lines_without_colon_take_linear_time() -> None:
    header = header_of(b"a" * 2_000_000)
    assert header.first_fault() == 1
    assert list(header.fields()) == []
