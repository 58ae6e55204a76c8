"""Sets of message numbers and UIDs: as a client sends them, and as ranges to reckon with (RFC 9051 section 9,
sequence-set and uid-set; RFC 5182 for `$`).

A SequenceSet is what was sent, with `*` and `$` unresolved; a NumberSet is sorted, disjoint and immutable. Nothing here
walks through all numbers of a range unless asked to iterate: 1:4294967295 costs as much as 1.

Diagnostics: `SequenceSet.parse` and `parse_uids` raise GrammarError with what is wrong.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import sub

from mailsrv.errors import GrammarError

MAX_NUMBER = 0xFFFFFFFF  # RFC 9051 section 9, nz-number
STAR = MAX_NUMBER + 1  # `*` until somebody knows the largest number
MAX_RANGES = 10_000  # of one set that a client sends


_NUMBER = rb"(?:[1-9][0-9]{0,9}|\*)"
_SET = re.compile(rb"%b(?::%b)?(?:,%b(?::%b)?)*" % ((_NUMBER,) * 4))

Range = tuple[int, int]  # first and last, both in it


class NumberSet:
    """Numbers from 1 to MAX_NUMBER as sorted, disjoint, not adjacent ranges. Equal sets are equal and hash alike."""

    __slots__ = ("ranges",)

    ranges: tuple[Range, ...]

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """A set of ranges in any order; each is (first, last) with first <= last."""
        self.ranges = _merge(sorted(ranges))

    @classmethod
    def of_sorted(cls, numbers: Sequence[int]) -> "NumberSet":
        """The set of ascending, distinct numbers (an array of UIDs). One range costs nothing."""
        found = cls()
        found.ranges = _find_runs(numbers)
        return found

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "NumberSet":
        """The set of numbers in any order."""
        return cls.of_sorted(sorted(set(numbers)))

    @classmethod
    def _of_merged(cls, ranges: list[Range]) -> "NumberSet":
        found = cls()
        found.ranges = tuple(ranges)
        return found

    # Looking

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.ranges, (number, STAR)) - 1
        return at >= 0 and number <= self.ranges[at][1]

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return self.ranges == other.ranges if isinstance(other, NumberSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"NumberSet({bytes(self).decode()})"

    def __bytes__(self) -> bytes:
        """As RFC 9051 writes a set: `1:3,7`; nothing for the empty set."""
        return b",".join([b"%d:%d" % pair if pair[0] != pair[1] else b"%d" % pair[0] for pair in self.ranges])

    @property
    def first(self) -> int:
        """The smallest number; raises IndexError where there is none."""
        return self.ranges[0][0]

    @property
    def last(self) -> int:
        """The largest number; raises IndexError where there is none."""
        return self.ranges[-1][1]

    def slices(self, numbers: Sequence[int]) -> list[Range]:
        """Where members stand in ascending distinct `numbers`: (start, stop) of slices, ascending, not empty and not
        adjacent: numbers that are not there part nothing."""
        found: list[Range] = []
        at, end = 0, len(numbers)
        for first, last in self.ranges:
            begin = bisect_left(numbers, first, at, end)
            stop = bisect_right(numbers, last, begin, end)
            if stop > begin:
                found.append((found.pop()[0] if found and found[-1][1] == begin else begin, stop))
            elif begin == end:
                break
            at = stop
        return found

    # Reckoning

    def __or__(self, other: "NumberSet") -> "NumberSet":
        return NumberSet(self.ranges + other.ranges)

    def __and__(self, other: "NumberSet") -> "NumberSet":
        found: list[Range] = []
        mine, others = iter(self.ranges), iter(other.ranges)
        one, two = next(mine, None), next(others, None)
        while one is not None and two is not None:
            first, last = max(one[0], two[0]), min(one[1], two[1])
            if first <= last:
                found.append((first, last))
            if one[1] < two[1]:
                one = next(mine, None)
            else:
                two = next(others, None)
        return NumberSet._of_merged(found)

    def __sub__(self, other: "NumberSet") -> "NumberSet":
        found: list[Range] = []
        holes, at, count = other.ranges, 0, len(other.ranges)
        for start, last in self.ranges:
            first = start
            while at < count and holes[at][1] < first:
                at += 1
            hole = at
            while hole < count and holes[hole][0] <= last:
                if holes[hole][0] > first:
                    found.append((first, holes[hole][0] - 1))
                first = holes[hole][1] + 1
                hole += 1
            if first <= last:
                found.append((first, last))
        return NumberSet._of_merged(found)


def _merge(ranges: list[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for first, last in ranges:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def _find_runs(numbers: Sequence[int]) -> tuple[Range, ...]:
    """Runs of consecutive numbers, found in C: where the difference to the number before is not 1, one begins."""
    count = len(numbers)
    if not count:
        return ()
    if numbers[-1] - numbers[0] == count - 1:
        return ((numbers[0], numbers[-1]),)
    others = map((1).__ne__, map(sub, numbers[1:], numbers))
    begins = [0, *compress(range(1, count), others)]
    ends = [begin - 1 for begin in begins[1:]]
    ends.append(count - 1)
    return tuple(zip(map(numbers.__getitem__, begins), map(numbers.__getitem__, ends), strict=True))


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set as it was sent: ranges of (one end, other end) in the order sent, with STAR for `*`; `saved` for `$`, the
    result of the last search, which has no ranges."""

    ranges: tuple[Range, ...] = ()
    saved: bool = False

    @staticmethod
    def parse(octets: bytes) -> "SequenceSet":
        """Read a sequence-set; raises GrammarError. Short ones are remembered, for clients repeat them."""
        return _parse_short(octets) if len(octets) <= 32 else _parse(octets)

    @property
    def has_star(self) -> bool:
        """True where the largest number must be known."""
        return any(STAR in pair for pair in self.ranges)

    @property
    def largest(self) -> int:
        """The largest number that is named as such; 0 where there is none but `*`."""
        return max((number for pair in self.ranges for number in pair if number != STAR), default=0)

    def resolve(self, largest: int) -> NumberSet:
        """The numbers, where `*` is `largest`. `9:*` has `*` in it even when that is smaller than 9."""
        return NumberSet(
            [
                (one, other) if one <= other else (other, one)
                for one, other in (
                    (largest if one == STAR else one, largest if other == STAR else other) for one, other in self.ranges
                )
            ]
        )


SAVED = SequenceSet(saved=True)


def _parse(octets: bytes) -> SequenceSet:
    if octets == b"$":
        return SAVED
    if octets.count(b",") >= MAX_RANGES:
        raise GrammarError(f"a set of numbers has at most {MAX_RANGES} ranges")
    if not _SET.fullmatch(octets):
        raise GrammarError("expected a set of numbers like 1:3,7,9:*")
    ranges: list[Range] = []
    for text in octets.replace(b"*", b"%d" % STAR).split(b","):
        one, colon, other = text.partition(b":")
        first = int(one)
        last = int(other) if colon else first
        if first > STAR or last > STAR:
            raise GrammarError(f"a number is at most {MAX_NUMBER}")
        ranges.append((first, last))
    if b"%d" % STAR in octets:
        raise GrammarError(f"a number is at most {MAX_NUMBER}")
    return SequenceSet(tuple(ranges))


_parse_short = lru_cache(maxsize=256)(_parse)


def parse_uids(octets: bytes) -> NumberSet:
    """Read a set in which `*` and `$` have no place (RFC 7162 section 7, known-uids); raises GrammarError."""
    found = SequenceSet.parse(octets)
    if found.saved or found.has_star:
        raise GrammarError("expected a set of numbers without *")
    return found.resolve(0)


EMPTY = NumberSet()
