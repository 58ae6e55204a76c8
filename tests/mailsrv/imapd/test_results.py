"""Results of searches: against a simple model of the tables of RFC 9051 section 6.4.4.1 and RFC 9394 section 3.2."""

from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.partial import PartialRange
from mailsrv.imap.search_arguments import Returns
from mailsrv.imapd.results import choose, is_told, make_pieces

PARTIAL = st.none() | st.builds(
    lambda one, other, back: PartialRange(min(one, other), max(one, other), back),
    st.integers(1, 8),
    st.integers(1, 8),
    st.booleans(),
)
RETURNS = st.builds(
    lambda flags, partial: Returns(*flags[:2], flags[2] and partial is None, *flags[3:], partial),
    st.tuples(*[st.booleans()] * 5),
    PARTIAL,
)
FOUND = st.sets(st.integers(1, 12)).map(sorted)


@given(RETURNS, FOUND)
def test_what_is_saved(returns, found):
    chosen = set(choose(returns, found))
    if returns.all or returns.count:
        assert chosen == set(found)
        return
    expected = set()
    if returns.minimum:
        expected |= set(found[:1])
    if returns.maximum:
        expected |= set(found[-1:])
    if returns.partial:
        places = range(1, len(found) + 1)
        for place in places:
            counted = len(found) + 1 - place if returns.partial.backwards else place
            if returns.partial.first <= counted <= returns.partial.last:
                expected.add(found[place - 1])
    if not (returns.minimum or returns.maximum or returns.partial):
        expected = set(found)
    assert chosen == expected


@given(RETURNS, FOUND)
def test_what_is_told(returns, found):
    pieces = dict(piece.split(b" ", 1) for piece in make_pieces(returns, found, True, 7))
    assert (b"MIN" in pieces) == (returns.minimum and bool(found))
    assert (b"ALL" in pieces) == (returns.all and bool(found))
    assert pieces.get(b"COUNT") == (b"%d" % len(found) if returns.count else None)
    assert (b"PARTIAL" in pieces) == (returns.partial is not None)
    assert (b"MODSEQ" in pieces) == (bool(found) and is_told(returns))


def test_the_order_of_a_sort_is_kept():
    returns = Returns(minimum=True, maximum=True, all=True)
    assert make_pieces(returns, [5, 3, 4, 1], False, None) == [b"MIN 5", b"MAX 1", b"ALL 5,3,4,1"]
    assert make_pieces(Returns(partial=PartialRange(1, 2)), [5, 3, 4], False, None) == [b"PARTIAL (1:2 5,3)"]
    assert make_pieces(Returns(partial=PartialRange(9, 12)), [5], False, None) == [b"PARTIAL (9:12 NIL)"]


def test_saving_alone_tells_nothing():
    assert not is_told(Returns(save=True)) and make_pieces(Returns(save=True), [1], True, 5) == []
    assert is_told(Returns(count=True, save=True))
