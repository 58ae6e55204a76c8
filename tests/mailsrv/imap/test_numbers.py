"""Sets of numbers against Python's sets, and sets as clients send them."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.imap.numbers import EMPTY, MAX_RANGES, SAVED, STAR, NumberSet, SequenceSet, parse_uids

SMALL = st.sets(st.integers(1, 60), max_size=40)
RANGES = st.lists(st.tuples(st.integers(1, 80), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(SMALL)
def test_a_set_is_what_went_in(numbers: set[int]) -> None:
    made = NumberSet.of(numbers)
    assert list(made) == sorted(numbers)
    assert len(made) == len(numbers)
    assert bool(made) == bool(numbers)
    assert {number for number in range(70) if number in made} == numbers
    assert made == NumberSet.of_sorted(array("I", sorted(numbers)))
    assert hash(made) == hash(NumberSet(made.ranges))
    if numbers:
        assert (made.first, made.last) == (min(numbers), max(numbers))
        assert parse_uids(bytes(made)) == made


@given(RANGES)
def test_ranges_are_merged(ranges: list[tuple[int, int]]) -> None:
    made = NumberSet(ranges)
    assert set(made) == {number for first, last in ranges for number in range(first, last + 1)}
    for (_, last), (first, _) in zip(made.ranges, made.ranges[1:], strict=False):
        assert last + 1 < first


@given(SMALL, SMALL)
def test_reckoning_is_that_of_sets(one: set[int], other: set[int]) -> None:
    a, b = NumberSet.of(one), NumberSet.of(other)
    assert a | b == NumberSet.of(one | other)
    assert a & b == NumberSet.of(one & other)
    assert a - b == NumberSet.of(one - other)


@given(SMALL, SMALL)
def test_slices_find_members(numbers: set[int], wanted: set[int]) -> None:
    held = array("I", sorted(numbers))
    found = [number for start, stop in NumberSet.of(wanted).slices(held) for number in held[start:stop]]
    assert found == sorted(numbers & wanted)


@given(RANGES, st.integers(1, 100))
def test_a_sequence_set_resolves_as_its_numbers(ranges: list[tuple[int, int]], largest: int) -> None:
    if not ranges:
        return
    text = b",".join(b"%d:%d" % pair for pair in ranges)
    assert SequenceSet.parse(text).resolve(largest) == NumberSet(ranges)
    starred = SequenceSet.parse(text + b",*")
    assert starred.has_star
    assert starred.resolve(largest) == NumberSet([*ranges, (largest, largest)])
    assert starred.largest == max(last for _, last in ranges)


@pytest.mark.parametrize(
    ("text", "largest", "numbers"),
    [
        (b"1", 9, [1]),
        (b"2,4:7,9,12:*", 15, [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]),
        (b"*:4,5:7", 10, [4, 5, 6, 7, 8, 9, 10]),
        (b"4:2", 9, [2, 3, 4]),
        (b"3291:*", 5, list(range(5, 3292))),
        (b"*", 7, [7]),
        (b"*:*", 7, [7]),
        (b"4294967295", 9, [4294967295]),
    ],
)
def test_examples_of_rfc_9051(text: bytes, largest: int, numbers: list[int]) -> None:
    assert list(SequenceSet.parse(text).resolve(largest)) == numbers


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"01",
        b"1:",
        b":1",
        b"1,",
        b",1",
        b"1::2",
        b"1:2:3",
        b"a",
        b"$,1",
        b"1 2",
        b"-1",
        b"4294967296",
        b"4294967297",
        b"1:4294967296",
        b"99999999999",
        b"**",
        b"1:*:2",
    ],
)
def test_what_is_no_set(text: bytes) -> None:
    with pytest.raises(GrammarError):
        SequenceSet.parse(text)


def test_the_saved_result() -> None:
    assert SequenceSet.parse(b"$") is SAVED
    assert not SAVED.ranges
    assert not SAVED.has_star
    assert SAVED.largest == 0
    for text in (b"$", b"1:*"):
        with pytest.raises(GrammarError, match=r"without \*"):
            parse_uids(text)


def test_the_number_of_ranges_is_bounded() -> None:
    text = b",".join(b"%d" % (2 * number) for number in range(1, MAX_RANGES + 1))
    assert len(SequenceSet.parse(text).resolve(1)) == MAX_RANGES
    with pytest.raises(GrammarError, match="at most 10000"):
        SequenceSet.parse(text + b",1")


def test_large_ranges_cost_nothing() -> None:
    everything = SequenceSet.parse(b"1:*").resolve(4294967295)
    assert len(everything) == 4294967295
    assert 77 in everything
    assert bytes(everything - NumberSet.of([5])) == b"1:4,6:4294967295"
    assert everything.slices(array("I", [3, 9, 11])) == [(0, 3)]
    assert STAR not in everything


def test_the_empty_set() -> None:
    assert bytes(EMPTY) == b""
    assert EMPTY == NumberSet()
    assert (EMPTY == 5) is False
    assert repr(NumberSet.of([1, 2])) == "NumberSet(1:2)"
    with pytest.raises(IndexError):
        EMPTY.first  # noqa: B018
