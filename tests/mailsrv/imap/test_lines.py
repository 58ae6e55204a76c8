"""Lines from octets: the same however they are split; long ones keep their ends only."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.lines import ENDLESS, HEAD, TAIL, Input, Line, LineFault

LIMIT = 300
OCTETS = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"x" * 100, b"y" * 299, b"{5+}\r\n"]), max_size=12
).map(b"".join)


def read(pieces: list[bytes]) -> tuple[list[Line], int]:
    source, lines = Input(), []
    for piece in pieces:
        source.append(piece)
        while (line := source.take_line(LIMIT)) is not None:
            lines.append(line)
            if line.fault is LineFault.ENDLESS:
                return lines, 0
    return lines, 0


@given(OCTETS, st.sets(st.integers(0, 1500)))
def test_splitting_changes_nothing(octets: bytes, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    assert read([octets[a:b] for a, b in pairwise(places)]) == read([octets])


@pytest.mark.parametrize(
    ("octets", "line"),
    [
        (b"a b\r\n", Line(b"a b")),
        (b"\r\n", Line(b"")),
        (b"a\rb\r\n", Line(b"a\rb")),
        (b"ab\n", Line(b"ab", LineFault.ENDING)),
        (b"x" * 298 + b"\r\n", Line(b"x" * 298)),
        (b"x" * 299 + b"\r\n", Line(b"x" * HEAD, LineFault.LONG, b"x" * TAIL)),
        (b"x" * 299 + b"{5}\n", Line(b"x" * HEAD, LineFault.LONG, b"x" * (TAIL - 3) + b"{5}")),
    ],
)
def test_lines(octets: bytes, line: Line) -> None:
    assert read([octets])[0] == [line]


def test_an_endless_line_is_found_while_it_comes() -> None:
    source = Input()
    held = 0
    for _ in range(ENDLESS // 1000 + 2):
        source.append(b"x" * 1000)
        line = source.take_line(LIMIT)
        held = max(held, len(source))
        if line is not None:
            assert line.fault is LineFault.ENDLESS
            break
    else:
        raise AssertionError("it has no end")
    assert held <= 1000, "what is dropped is not kept"
    assert read([b"x" * (ENDLESS + 1) + b"\r\n"])[0][0].fault is LineFault.ENDLESS


def test_taking_octets() -> None:
    source = Input()
    source.append(b"abc")
    source.append(b"def\r\n")
    assert source.begins_with(b"ab")
    assert source.take(2) == b"ab"
    assert not source.begins_with(b"ab")
    assert len(source) == 6
    assert source.take_line(LIMIT) == Line(b"cdef")
    assert source.take(5) == b""
    source.append(b"x")
    assert source.take(-1) == b"x"
