"""The scanners of messages: ends, dots, faults, limits; the same for every split, and never fooled by a line end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.smtp import replies
from mailsrv.smtp.data import ChunkScanner, DataScanner
from mailsrv.smtp.lines import FramingError

PARTS = [b"a", b".", b"..", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"\r", b"\n", b"\0", b"\n.\n", b"\r.\r", b"word", b"\xff"]
SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n\n.\r\n",
    b"\r\n\0.\r\n",
    b"\r\r\n.\r\n",
]


def scan(pieces: list[bytes], limit: int = 10**6, text_line: int = 10**6) -> tuple[object, ...]:
    """The message, what follows it, its size and fault; or what came before a framing fault, and its kind."""
    scanner, message = DataScanner(limit, text_line), b""
    for number, piece in enumerate(pieces):
        try:
            octets, rest = scanner.feed(piece)
        except FramingError as fault:
            return message + scanner.sound, fault.kind
        message += octets
        if rest is not None:
            return message, rest + b"".join(pieces[number + 1 :]), scanner.size, scanner.fault
    return message, None


def bytewise(octets: bytes) -> list[bytes]:
    return [octets[i : i + 1] for i in range(len(octets))]


@pytest.mark.parametrize(
    ("octets", "message", "rest"),
    [
        (b".\r\n", b"", b""),
        (b".\r\nQUIT\r\n", b"", b"QUIT\r\n"),
        (b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n"),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b".a\r\n...\r\n.b\r\n.\r\n", b"a\r\n..\r\nb\r\n", b""),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n", b""),
        (b"a.\r\n.b.\r\n.\r\n", b"a.\r\nb.\r\n", b""),
        (b"\r\n.\r\nMAIL\n", b"\r\n", b"MAIL\n"),
    ],
)
def test_messages(octets: bytes, message: bytes, rest: bytes) -> None:
    expected = (message, rest, len(message), None)
    assert scan([octets]) == expected
    assert scan(bytewise(octets)) == expected
    for at in range(len(octets)):
        assert scan([octets[:at], octets[at:]]) == expected


@given(st.lists(st.sampled_from(PARTS), max_size=20), st.data())
def test_any_split_gives_the_same(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=4)))
    pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    for limit, text_line in ((10**6, 10**6), (7, 10**6), (10**6, 5)):
        whole = scan([octets, b"\r\nx\r\n.\r\n"], limit, text_line)
        assert scan([*pieces, b"\r\nx\r\n.\r\n"], limit, text_line) == whole
        assert scan(bytewise(octets + b"\r\nx\r\n.\r\n"), limit, text_line) == whole


@pytest.mark.parametrize("trick", SMUGGLING)
@given(st.data())
def test_smuggling_never_ends_a_message(trick: bytes, data: st.DataObject) -> None:
    octets = b"text" + trick + b"MAIL FROM:<a@b.example>\r\n.\r\n"
    at = data.draw(st.integers(0, len(octets)))
    for pieces in ([octets], [octets[:at], octets[at:]], bytewise(octets)):
        result = scan(pieces)
        assert len(result) == 2
        assert result[1] in ("bare CR", "bare LF", "NUL")
        assert b"MAIL" not in result[0]


@given(st.lists(st.sampled_from([b"a", b".", b"..x", b"", b"long" * 5]), max_size=8))
def test_stuffing_and_unstuffing_are_inverse(lines: list[bytes]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)
    assert scan([stuffed + b".\r\n"]) == (message, b"", len(message), None)


def test_a_message_of_many_pieces_is_given_as_it_comes() -> None:
    scanner = DataScanner(10**6, 10**6)
    assert scanner.feed(b"first\r") == (b"first", None)
    assert scanner.feed(b"\nsecond\r\n") == (b"\r\nsecond", None)
    assert scanner.feed(b".") == (b"", None)
    assert scanner.feed(b"x") == (b"\r\nx", None)
    assert scanner.feed(b"\r\n.\r\n") == (b"\r\n", b"")


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
def test_size(size: int, fits: bool) -> None:
    octets = b"x" * (size - 2) + b"\r\n.\r\n"
    for pieces in ([octets], bytewise(octets)):
        message, rest, count, fault = scan(pieces, limit=10)
        assert (rest, count) == (b"", size)
        assert message == octets[: min(size, 10)]
        assert fault == (None if fits else replies.TOO_BIG)


@pytest.mark.parametrize("before", [b"", b"x\r\n", b"x\r\ny\r\n" * 9])
@pytest.mark.parametrize(("length", "fits"), [(9, True), (10, True), (11, False), (30, False)])
def test_line_length_counts_the_crlf(before: bytes, length: int, fits: bool) -> None:
    octets = before + b"x" * (length - 2) + b"\r\n" + before + b".\r\n"
    for at in range(len(octets)):
        fault = scan([octets[:at], octets[at:]], text_line=10)[3]
        assert fault == (None if fits else replies.TEXT_LINE)


def test_too_big_weighs_more_than_a_long_line() -> None:
    assert scan([b"x" * 30 + b"\r\n.\r\n"], limit=10, text_line=10)[3] == replies.TOO_BIG


def take_chunks(chunks: list[bytes]) -> bytes:
    scanner = ChunkScanner(10**6, 10**6)
    message = b"".join(scanner.feed(chunk) for chunk in chunks) + scanner.finish()
    assert scanner.size == len(message)
    return message


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], b""),
        ([b""], b""),
        ([b"a"], b"a\r\n"),
        ([b"a\r\n"], b"a\r\n"),
        ([b"a\r", b"\n"], b"a\r\n"),
        ([b"a\r", b"", b"\nb"], b"a\r\nb\r\n"),
        ([b"\r\n.\r\n..\r\n"], b"\r\n.\r\n..\r\n"),
    ],
)
def test_chunks(chunks: list[bytes], message: bytes) -> None:
    assert take_chunks(chunks) == message


@pytest.mark.parametrize("chunks", [[b"a\n"], [b"a\r", b"b"], [b"\0"], [b"a\r"], [b"a", b"\n"], [b"ab\r\n\r"]])
def test_faults_in_chunks(chunks: list[bytes]) -> None:
    with pytest.raises(FramingError):
        take_chunks(chunks)


def test_chunks_add_up() -> None:
    scanner = ChunkScanner(5, 10**6)
    assert scanner.feed(b"abc") == b"abc"
    assert scanner.feed(b"def") == b"de"
    assert scanner.fault == replies.TOO_BIG
    assert scanner.feed(b"ghi") == b""
    assert scanner.size == 9
