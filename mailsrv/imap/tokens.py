"""A cursor over the octets of one command, with its literals in place: the words of RFC 9051 section 9.

`try_` methods consume nothing when they return None or False; `expect_` methods raise. Patterns are compiled once and
run in C; no loop goes octet by octet.

Diagnostics: raises GrammarError with a sentence that says what was expected; Incomplete where a literal is announced
whose octets are not there, which is how a command whose last literal is streamed is recognised.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from mailsrv.errors import GrammarError

T = TypeVar("T")

MAX_ITEMS = 10_000  # of one list that has no bound of its own

_ATOM = rb"[^\x00-\x20(){%*\"\\\]\x7f-\xff]+"
ATOM = re.compile(_ATOM)
ASTRING_ATOM = re.compile(rb"[^\x00-\x20(){%*\"\\\x7f-\xff]+")
LIST_ATOM = re.compile(rb"[^\x00-\x20(){\"\\\x7f-\xff]+")
FLAG = re.compile(rb"\\?" + _ATOM)
LABEL = re.compile(rb"[A-Za-z_.-][A-Za-z0-9_.:=-]*")
NUMBER = re.compile(rb"[0-9]{1,20}")
SET = re.compile(rb"[0-9*:,]+|\$")
_QUOTED = re.compile(rb'"([^"\\\r\n\x00]*)"')
_ESCAPED = re.compile(rb'"([^"\\\r\n\x00]*(?:\\["\\][^"\\\r\n\x00]*)*)"')
_ESCAPE = re.compile(rb"\\(.)")
_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})\+?\}(\r\n)?")
_NIL = re.compile(rb"[Nn][Ii][Ll](?![^\x00-\x20()])")

MAX_NUMBER64 = (1 << 63) - 1


class Incomplete(GrammarError):
    """A literal is announced at the end of the octets: `size` octets, `binary` for literal8."""

    def __init__(self, size: int, binary: bool) -> None:
        super().__init__("a literal follows")
        self.size = size
        self.binary = binary


class Cursor:
    """A place in the octets of a command. `utf8` tells how mailbox names are spelled."""

    __slots__ = ("at", "octets", "utf8")

    def __init__(self, octets: bytes, at: int = 0, utf8: bool = False) -> None:
        self.octets = octets
        self.at = at
        self.utf8 = utf8

    # Fixed octets

    def try_octets(self, octets: bytes) -> bool:
        """Consume exactly these octets."""
        if self.octets.startswith(octets, self.at):
            self.at += len(octets)
            return True
        return False

    def expect_octets(self, octets: bytes, what: str) -> None:
        """Consume exactly these octets or raise "expected `what`"."""
        if not self.octets.startswith(octets, self.at):
            raise self.fault(what)
        self.at += len(octets)

    def expect_space(self, before: str) -> None:
        """Consume one space, behind which `before` is expected."""
        if not self.octets.startswith(b" ", self.at):
            raise self.fault(f"a space and {before}")
        self.at += 1

    def expect_end(self) -> None:
        """The command ends here."""
        if self.at != len(self.octets):
            raise self.fault("the end of the command")

    def peek(self, octets: bytes) -> bool:
        """Whether these octets come next."""
        return self.octets.startswith(octets, self.at)

    @property
    def at_end(self) -> bool:
        """True behind the last octet."""
        return self.at == len(self.octets)

    def fault(self, what: str) -> GrammarError:
        """The error that says what was expected here."""
        return GrammarError(f"expected {what} at octet {self.at + 1}")

    # Words

    def try_pattern(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Consume what a pattern matches here."""
        match = pattern.match(self.octets, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def expect_pattern(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        """Consume what a pattern matches here, or raise."""
        match = pattern.match(self.octets, self.at)
        if match is None:
            raise self.fault(what)
        self.at = match.end()
        return match[0]

    def try_word(self, word: bytes) -> bool:
        """Consume a keyword (given in capitals, of any case on the wire) that ends here."""
        match = ATOM.match(self.octets, self.at)
        if match is None or match[0].upper() != word:
            return False
        self.at = match.end()
        return True

    def expect_word(self, what: str) -> bytes:
        """Consume an atom as a keyword, in capitals."""
        return self.expect_pattern(ATOM, what).upper()

    def expect_choice(self, choices: "dict[bytes, T]", what: str) -> T:
        """Consume an atom that is a key of a table (in capitals) and give its value."""
        start = self.at
        found = choices.get(self.expect_word(what))
        if found is None:
            self.at = start
            raise self.fault(what)
        return found

    # Numbers

    def try_number(self) -> int | None:
        """Consume a number, bounded as number64."""
        text = self.try_pattern(NUMBER)
        if text is None:
            return None
        number = int(text)
        if number > MAX_NUMBER64:
            raise self.fault("a number below 2^63")
        return number

    def expect_number(self, what: str, smallest: int = 0, largest: int = MAX_NUMBER64) -> int:
        """Consume a number within bounds."""
        start = self.at
        number = self.try_number()
        if number is None or not smallest <= number <= largest:
            self.at = start
            raise self.fault(what)
        return number

    # Strings

    def try_string(self, binary: bool = False) -> bytes | None:
        """Consume a quoted string or a literal and give its octets; `binary` lets literal8 and NUL in."""
        octets, at = self.octets, self.at
        if octets.startswith(b'"', at):
            match = _QUOTED.match(octets, at)
            if match is not None:
                self.at = match.end()
                return match[1]
            match = _ESCAPED.match(octets, at)
            if match is None:
                raise self.fault("a quoted string with its end")
            self.at = match.end()
            return _ESCAPE.sub(rb"\1", match[1])
        match = _LITERAL.match(octets, at)
        return None if match is None else self._take_literal(match, binary)

    def _take_literal(self, match: re.Match[bytes], binary: bool) -> bytes:
        size = int(match[2])
        if match[3] is None:
            if match.end() == len(self.octets):
                raise Incomplete(size, bool(match[1]))
            raise self.fault("a literal at the end of a line")
        start, end = match.end(), match.end() + size
        literal = self.octets[start:end]
        if len(literal) != size:
            raise self.fault("a literal with all its octets")
        if not binary and (match[1] or b"\0" in literal):
            raise self.fault("a string without NUL")
        self.at = end
        return literal

    def expect_string(self, what: str) -> bytes:
        """Consume a quoted string or a literal."""
        string = self.try_string()
        if string is None:
            raise self.fault(what)
        return string

    def expect_astring(self, what: str, pattern: re.Pattern[bytes] = ASTRING_ATOM) -> bytes:
        """Consume an atom (by another pattern: list-mailbox) or a string."""
        match = pattern.match(self.octets, self.at)
        if match is not None:
            self.at = match.end()
            return match[0]
        return self.expect_string(what)

    def try_nil(self) -> bool:
        """Consume NIL."""
        return self.try_pattern(_NIL) is not None

    def expect_text(self, what: str) -> str:
        """Consume an astring and give it as text; raises for what is not UTF-8."""
        start = self.at
        try:
            return self.expect_astring(what).decode()
        except UnicodeDecodeError:
            self.at = start
            raise self.fault(f"{what} in UTF-8") from None

    # Lists

    def expect_list(self, read: Callable[["Cursor"], T], what: str, most: int = MAX_ITEMS) -> tuple[T, ...]:
        """Consume `(item item ...)` with at least one item, at most `most`."""
        self.expect_octets(b"(", f"a list of {what}")
        return self._rest_of_list(read, what, most)

    def expect_list_or_empty(self, read: Callable[["Cursor"], T], what: str, most: int = MAX_ITEMS) -> tuple[T, ...]:
        """Consume `(item item ...)` or `()`."""
        self.expect_octets(b"(", f"a list of {what}")
        return () if self.try_octets(b")") else self._rest_of_list(read, what, most)

    def _rest_of_list(self, read: Callable[["Cursor"], T], what: str, most: int) -> tuple[T, ...]:
        found = [read(self)]
        while self.try_octets(b" "):
            if len(found) >= most:
                raise GrammarError(f"expected at most {most} items in a list of {what}")
            found.append(read(self))
        self.expect_octets(b")", f"a space or the end of the list of {what}")
        return tuple(found)
