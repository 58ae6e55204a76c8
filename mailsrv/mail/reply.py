"""SMTP replies as values: code, enhanced status code, text (RFC 5321 section 4.2, RFC 2034, RFC 3463).

A Reply never holds line ends; `encode` makes the octets. The reply texts that mailsrv sends stand in the tables of the
room that decides them.

Diagnostics: raises nothing; texts are cleaned when they are encoded.
"""

from dataclasses import dataclass

_CLEAN = dict.fromkeys((*range(32), 127), "?")
_MAX_TEXT = 480  # octets: a reply line has at most 512 with code and CRLF, RFC 5321 section 4.5.3.1.5


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `enhanced` is "" where RFC 2034 section 4 wants none (greeting, HELO and EHLO, 3yz).

    `text` may hold several lines (joined by a line feed) for multi-line replies such as EHLO's.
    """

    code: int
    enhanced: str
    text: str

    @property
    def is_positive(self) -> bool:
        """True for 2yz and 3yz: the state of the session advances."""
        return self.code < 400

    @property
    def closes(self) -> bool:
        """True for 221 and 421: the connection ends after this reply."""
        return self.code in (221, 421)

    def encode(self, suffix: str = "") -> bytes:
        """The octets on the wire. `suffix` is appended to the last line of a negative reply (the session's id)."""
        text = self.text
        if text.isprintable() and text.isascii() and len(text) + len(suffix) <= _MAX_TEXT:  # most replies by far
            words = f"{self.enhanced} {text}" if self.enhanced else text
            return f"{self.code} {words}{suffix if self.code >= 400 else ''}\r\n".encode()
        lines = text.split("\n")
        prefix = f"{self.enhanced} " if self.enhanced else ""
        if suffix and self.code >= 400:
            lines[-1] += suffix
        last = len(lines) - 1
        return b"".join(
            f"{self.code}{' ' if i == last else '-'}{prefix}".encode() + _bounded(line) + b"\r\n"
            for i, line in enumerate(lines)
        )

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}" if self.enhanced else f"{self.code} {self.text}"


def _bounded(line: str) -> bytes:
    """One line of text without control characters and not too long; what is cut is the middle, so that an id at the
    end stays.
    """
    octets = line.translate(_CLEAN).encode("utf-8", "replace")
    if len(octets) <= _MAX_TEXT:
        return octets
    text = octets[: _MAX_TEXT - 103].decode("utf-8", "ignore") + "..." + octets[-100:].decode("utf-8", "ignore")
    return text.encode()
