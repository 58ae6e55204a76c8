"""Command lines and framing faults; the same for every split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.smtp.lines import ENDLESS, FramingError, Input, find_fault, is_sound

LIMIT, AUTH_LIMIT = 32, 64


def read(pieces: list[bytes]) -> list[object]:
    """All lines of the pieces, and the kind of fault that ends them."""
    source, lines = Input(), []
    for piece in pieces:
        source.append(piece)
        try:
            while (line := source.take_line(LIMIT, AUTH_LIMIT)) is not None:
                lines.append("too long" if line[1] else line[0])
        except FramingError as fault:
            return [*lines, fault.kind]
    return lines


def bytewise(octets: bytes) -> list[bytes]:
    return [octets[i : i + 1] for i in range(len(octets))]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"NOOP\r\nQUIT\r\nRS", [b"NOOP", b"QUIT"]),
        (b"\r\n", [b""]),
        (b"a" * 30 + b"\r\n", [b"a" * 30]),
        (b"a" * 31 + b"\r\nb\r\n", ["too long", b"b"]),
        (b"auth " + b"a" * 57 + b"\r\n", [b"auth " + b"a" * 57]),
        (b"AUTH " + b"a" * 58 + b"\r\nb\r\n", ["too long", b"b"]),
        (b"a\nb\r\n", ["bare LF"]),
        (b"\n", ["bare LF"]),
        (b"a\r\r\n", ["bare CR"]),
        (b"a\rb\r\n", ["bare CR"]),
        (b"ok\r\na\0\r\n", [b"ok", "NUL"]),
        (b"a" * 40 + b"\rb\r\n", ["bare CR"]),
        (b"a" * 40 + b"\n", ["bare LF"]),
        (b"a" * (ENDLESS - 2) + b"\r\n", ["too long"]),
        (b"a" * (ENDLESS - 1) + b"\r\n", ["endless line"]),
        (b"a" * (ENDLESS + 9), ["endless line"]),
        (b"a" * (ENDLESS - 1) + b"\0", ["NUL"]),
        (b"a" * ENDLESS + b"\0", ["endless line"]),
        (b"a" * (ENDLESS - 2) + b"\ra", ["bare CR"]),
        (b"a" * (ENDLESS - 1) + b"\ra", ["endless line"]),
    ],
)
def test_lines(octets: bytes, expected: list[object]) -> None:
    assert read([octets]) == expected
    assert read(bytewise(octets)) == expected
    assert read([octets[:-1], octets[-1:]]) == expected


@given(
    st.lists(st.sampled_from([b"a", b"\r\n", b"\r\n", b"\r", b"\n", b"\0", b"AUTH ", b"x" * 33, b"y" * 60])), st.data()
)
def test_any_split_gives_the_same(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    at = data.draw(st.integers(0, len(octets)))
    whole = read([octets])
    assert read([octets[:at], octets[at:]]) == whole
    assert read(bytewise(octets)) == whole


@given(st.binary(max_size=30), st.sampled_from([b"", b"\r\n", b"\r", b"\n", b"\0"]))
def test_sound_means_no_fault(octets: bytes, more: bytes) -> None:
    octets = octets.replace(b"\r", b"") + more + b"x"
    assert is_sound(octets) == (find_fault(octets) is None)


def test_a_fault_knows_what_is_before_it() -> None:
    fault = find_fault(b"ab\r\nc\nd")
    assert fault is not None
    assert (fault.kind, fault.offset) == ("bare LF", 5)


def test_octets_behind_a_line_stay() -> None:
    source = Input()
    source.append(b"BDAT 3\r\nabcNO")
    assert source.take_line(LIMIT, AUTH_LIMIT) == (b"BDAT 3", False)
    assert len(source) == 5
    assert source.take(3) == b"abc"
    source.append(b"OP\r\n")
    assert source.take_line(LIMIT, AUTH_LIMIT) == (b"NOOP", False)
    assert source.take(9) == b""
    source.append(b"all")
    assert source.take(-1) == b"all"
    source.give_back(b"ll")
    assert source.take(1) == b"l"
    assert len(source) == 1


def test_what_is_too_long_is_not_kept() -> None:
    source = Input()
    for _ in range(1000):
        source.append(b"a" * 60)
        assert source.take_line(LIMIT, AUTH_LIMIT) is None
        assert len(source) == 0
