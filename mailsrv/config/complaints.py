"""Complaints about a configuration, gathered so that one pass reports all of them, in the order of the file's lines.

A complaint that stops the server and a warning that does not have the same form: `file:line: key: what is wrong, what
is right`. Nothing is judged here.

Diagnostics: raises nothing; mailsrv.config.load turns complaints into ConfigError.
"""

import re

from mailsrv.config.lines import KeyPath, Lines

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def name_key(path: KeyPath) -> str:
    """A key path as mailsrv.toml(5) names it: dotted, without the indices of arrays (the line says which element)."""
    parts = [part for part in path if isinstance(part, str)]
    return ".".join(part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in parts)


class Complaints:
    """What is wrong in one file. `source` is its path as shown, `lines` finds the line of a key path."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source = source
        self._lines = lines
        self._faults: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []
        self._paths: set[KeyPath] = set()

    def add(self, path: KeyPath, text: str, *, usable: bool = False) -> None:
        """Complain about the value at `path`; unless it is still usable, later checks that ask `hit` leave it alone."""
        if not usable:
            self._paths.add(path)
        self._faults.append(self._form(path, text))

    def warn(self, path: KeyPath, text: str) -> None:
        """Note what is allowed but hardly meant."""
        self._warnings.append(self._form(path, f"warning: {text}"))

    def hit(self, path: KeyPath) -> bool:
        """Whether this value, or something it is part of, has been complained about: it means nothing then."""
        return any(path[:length] in self._paths for length in range(len(path), -1, -1))

    @property
    def faults(self) -> list[str]:
        """The complaints, by line."""
        return [text for _, text in sorted(self._faults, key=lambda fault: fault[0])]

    @property
    def warnings(self) -> list[str]:
        """The warnings, by line."""
        return [text for _, text in sorted(self._warnings, key=lambda warning: warning[0])]

    def _form(self, path: KeyPath, text: str) -> tuple[int, str]:
        line = self._lines.find(path)
        name = name_key(path)
        # A control character in a quoted value must not forge another line of the report.
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        return line, f"{self.source}:{line}: {name}: {text}" if name else f"{self.source}:{line}: {text}"
