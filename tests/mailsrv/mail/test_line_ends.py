"""Line ends in pieces: what comes out does not depend on where the pieces end."""

from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.line_ends import by_lines, to_crlf, to_lf

OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"bc"]), max_size=30).map(b"".join)


def split(octets: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({min(one, len(octets)) for one in at} | {0, len(octets)})
    return [octets[a:b] for a, b in zip(ends, ends[1:], strict=False)]


@given(OCTETS, st.lists(st.integers(0, 60), max_size=6))
def test_crlf_everywhere(octets: bytes, at: list[int]) -> None:
    found = b"".join(to_crlf(split(octets, at)))
    assert found == octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert b"".join(to_crlf([found])) == found


@given(OCTETS, st.lists(st.integers(0, 60), max_size=6))
def test_lf_everywhere(octets: bytes, at: list[int]) -> None:
    assert b"".join(to_lf(split(octets, at))) == octets.replace(b"\r\n", b"\n")


@given(OCTETS, st.lists(st.integers(0, 60), max_size=6))
def test_pieces_end_with_lines(octets: bytes, at: list[int]) -> None:
    pieces = list(by_lines(split(octets, at)))
    assert b"".join(piece for piece, _ in pieces) == octets
    assert all(piece.endswith(b"\n") for piece, _ in pieces[:-1])
    assert all(begins for _, begins in pieces)


def test_a_very_long_line_is_not_kept() -> None:
    pieces = list(by_lines([b"x" * 60000, b"x" * 60000, b"x\nnext", b"\n"]))
    assert [(len(piece), begins) for piece, begins in pieces] == [(120000, True), (2, False), (5, True)]
