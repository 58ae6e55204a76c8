"""A page of a result, counted from either end: PARTIAL of SEARCH and FETCH (RFC 9394 section 3).

Diagnostics: `read_partial_range` raises GrammarError with what was expected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mailsrv.imap.numbers import MAX_NUMBER
from mailsrv.imap.tokens import Cursor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartialRange:
    """Places `first` to `last`, from 1, first <= last; `backwards` counts from the newest."""

    first: int
    last: int
    backwards: bool = False

    def __bytes__(self) -> bytes:
        """As ESEARCH tells it."""
        return (b"-%d:-%d" if self.backwards else b"%d:%d") % (self.first, self.last)

    def cut(self, results: Sequence[T]) -> Sequence[T]:
        """The page of `results`, which keep their order."""
        if not self.backwards:
            return results[self.first - 1 : self.last]
        end = len(results) - self.first + 1
        return results[max(0, len(results) - self.last) : max(0, end)]


def read_partial_range(cursor: Cursor) -> PartialRange:
    """A space and a range like 1:100 or -1:-100."""
    cursor.expect_space("a range like 1:100 or -1:-100")
    backwards = cursor.try_octets(b"-")
    one = cursor.expect_number("a range like 1:100 or -1:-100", 1, MAX_NUMBER)
    cursor.expect_octets(b":-" if backwards else b":", "the other end of the range, counted from the same end")
    other = cursor.expect_number("the other end of the range", 1, MAX_NUMBER)
    return PartialRange(min(one, other), max(one, other), backwards)
