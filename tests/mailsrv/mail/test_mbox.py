"""mbox files: what was written is read, however the file comes, and separators are believed only where they can be."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail import mbox
from mailsrv.mail.mbox import Mbox, quote

LINES = st.lists(
    st.sampled_from([b"", b"From ", b">From x", b"From a Mon Jan  1 10:00:00 2024", b"text", b">>From", b"From"]),
    max_size=8,
)
SEPARATOR = b"From a@b Mon Jan  1 00:00:09 2024\n"


def read(octets: bytes, step: int = 1 << 20) -> list[tuple[int | None, bytes]]:
    file = io.BytesIO(octets)
    letters = Mbox(lambda count: file.read(min(step, count))).letters()
    return [(letter.received, b"".join(letter.pieces)) for letter in letters]


@given(st.lists(LINES, max_size=5), st.integers(1, 50))
def test_what_was_written_is_read(messages: list[list[bytes]], step: int) -> None:
    octets = [b"".join(line + b"\n" for line in [b"Subject: x", b"", *lines]) for lines in messages]
    file = b"".join(b"".join(quote([one], "a@b", 1704067209)) for one in octets)
    assert read(file, step) == [(1704067209, one) for one in octets]


def test_the_form() -> None:
    file = b"".join(quote([b"S: x\n\nFr", b"om me\n>Fro", b"m you\nno end"], "no address", 0, b"Status: O\n"))
    assert file == (
        b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nStatus: O\nS: x\n\n>From me\n>>From you\nno end\n\n"
    )


def test_crlf_stays() -> None:
    file = (SEPARATOR + b"S: 1\n\n>From x\n\n" + SEPARATOR + b"S: 2\n\nb\n\n").replace(b"\n", b"\r\n")
    assert read(file) == [(1704067209, b"S: 1\r\n\r\nFrom x\r\n"), (1704067209, b"S: 2\r\n\r\nb\r\n")]


def test_what_looks_like_a_separator() -> None:
    file = SEPARATOR + b"S: 1\n\n\nFrom here on 2024\n" + SEPARATOR + b"end"
    assert read(file) == [(1704067209, b"S: 1\n\n\nFrom here on 2024\n" + SEPARATOR + b"end")]


def test_messages_without_anything() -> None:
    assert read(SEPARATOR + b"\n" + SEPARATOR) == [(1704067209, b""), (1704067209, b"")]
    assert read(b"") == read(b"\n\n") == []
    assert read(b"From - whenever\nS: x\n") == [(None, b"S: x\n")]


def test_no_mbox() -> None:
    with pytest.raises(GrammarError, match="is no mbox"):
        read(b"Subject: x\n\n")


def test_large_messages_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox, "_PIECE", 10000)
    body = b"S: x\n\n" + b"0123456789\n" * 20000
    file = io.BytesIO(SEPARATOR + body + b"\n" + SEPARATOR + b"S: y\n")
    sizes = []
    found = []
    for letter in Mbox(file.read).letters():
        pieces = list(letter.pieces)
        sizes.append(max(map(len, pieces)))
        found.append(b"".join(pieces))
    assert found == [body, b"S: y\n"]
    assert max(sizes) < 30000


def test_what_nobody_reads_is_passed_over() -> None:
    file = io.BytesIO((SEPARATOR + b"S: x\n\n") * 3)
    assert len([letter.received for letter in Mbox(file.read).letters()]) == 3


@pytest.mark.parametrize(
    ("received", "year"), [(-62_135_600_400, b"0001"), (253_402_304_399, b"9999"), (1 << 40, b"9999")]
)
def test_moments_that_no_calendar_has(received, year):
    assert b"".join(quote([b"x\n"], "a@b", received)).split(b"\n")[0].endswith(b" " + year)
