"""Where in a TOML file each key stands: tomllib gives values without lines, and a complaint needs one.

The text is read a second time, only for positions; what a value means stays with tomllib, which has accepted the text
before. A place that this reader does not understand ends it quietly: the keys found so far keep their lines, the
others get the line of the nearest table above them. It never decides whether a file is right.

Diagnostics: raises nothing.
"""

import re
from bisect import bisect_right

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")  # a date and its time may have a space between them
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\]))')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class Lines:
    """The lines of a TOML text, by key path: ("accounts", 0, "addresses", 1) is the second address of the first
    account."""

    def __init__(self, text: str) -> None:
        self._starts = [0] + [found.end() for found in re.finditer("\n", text)]
        reader = _Reader(text)
        try:
            reader.read()
        except (_Lost, RecursionError):
            pass  # what was found until here serves; the rest falls back to the table above it
        self._lines = {path: bisect_right(self._starts, offset) for path, offset in reader.offsets.items()}

    def find(self, path: KeyPath) -> int:
        """The line (from 1) of a key or array element, or of what encloses one that is not in the text itself."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return 1

    def paths(self) -> set[KeyPath]:
        """Every key path that has a line of its own."""
        return set(self._lines)


class _Lost(Exception):
    """The reader does not know what it looks at."""


class _Reader:
    """One walk over the text; `offsets` has the position of every key path met."""

    def __init__(self, text: str) -> None:
        self.offsets: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._counts: dict[KeyPath, int] = {}  # arrays of tables: how many [[headers]] so far

    def read(self) -> None:
        """Read every statement; raise _Lost where that is not possible."""
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _try(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._try(text):
            raise _Lost

    def _mark(self, path: KeyPath, offset: int) -> None:
        self.offsets.setdefault(path, offset)

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`; a name on the way that is an array of tables means its last element (TOML 1.0)."""
        start = self._at
        self._expect("[")
        is_array = self._try("[")
        path: KeyPath = ()
        keys = self._keys()
        for key in keys[:-1]:
            path = self._last((*path, key))
            self._mark(path, start)
        path = (*path, keys[-1])
        if is_array:
            self._mark(path, start)
            self._counts[path] = self._counts.get(path, 0) + 1
        path = self._last(path)
        self._mark(path, start)
        self._expect("]]" if is_array else "]")
        return path

    def _last(self, path: KeyPath) -> KeyPath:
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _assignment(self, table: KeyPath) -> None:
        start = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._mark(path, start)
        self._expect("=")
        self._value(path)

    def _keys(self) -> list[str]:
        """A key with its dots: `a."b c".d`; leaves the position behind it and the blanks that follow."""
        keys = []
        while True:
            self._skip(_SPACES)
            found = _BARE_KEY.match(self._text, self._at) or _STRING.match(self._text, self._at)
            if found is None:
                raise _Lost
            self._at = found.end()
            keys.append(_unquote(found[0]))
            self._skip(_SPACES)
            if not self._try("."):
                return keys

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACES)
        if self._try("["):
            self._array(path)
        elif self._try("{"):
            self._inline_table(path)
        else:
            found = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            if found is None:
                raise _Lost
            self._at = found.end()

    def _array(self, path: KeyPath) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._try("]"):
                return
            element = (*path, index)
            self._mark(element, self._at)
            self._value(element)
            self._skip(_BLANK)
            if not self._try(","):
                self._expect("]")
                return
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        while True:
            self._skip(_BLANK)
            if self._try("}"):
                return
            self._assignment(path)
            self._skip(_BLANK)
            if not self._try(","):
                self._expect("}")
                return


def _unquote(key: str) -> str:
    """The name that a bare or quoted key stands for."""
    if key[0] == "'":
        return key[1:-1]
    if key[0] == '"':
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[3]) or chr(int(found[1] or found[2], 16)), key[1:-1])
    return key
