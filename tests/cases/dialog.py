"""Dialogs: what a client says and what it must hear, as text files (tests/cases/smtp/*.dialog).

Directives come first, each once: `kind: smtp|submission|submissions|lmtp`, `tls: yes`, `offer: starttls PLAIN LOGIN`
(before TLS), `offer-tls: PLAIN` (behind `t:`), `limits: recipients=2 errors=3`. Then lines, in order:

    c: text     the client sends text and CRLF         C: text     the client sends text without CRLF
    s: reply    a reply line begins with these words   s: 250*     one whole reply with this code, however many lines
    e: event    this event is given (in this order; others may stand between)
    p: Event r  policy answers the next event of this kind with r (`r | r`: one for each recipient) instead of yes
    t:          the TLS handshake happens here         x: closed   at the end the session is over (eof: the client ends)

Escapes in c, C and e: \\r \\n \\t \\0 \\\\ \\xHH \\uHHHH; `{1000*a}` is a thousand times a. `#` begins a comment line.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(.))")
_REPEAT = re.compile(r"\{(\d+)\*([^}]+)\}")
_SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


@dataclass(frozen=True)
class Line:
    """One line of a dialog: its mark and what stands behind it; `octets` for c and C."""

    number: int
    mark: str
    text: str
    octets: bytes = b""


@dataclass(frozen=True)
class Dialog:
    """One file."""

    name: str
    directives: dict[str, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()

    def marked(self, mark: str) -> list[str]:
        """The texts of all lines with this mark."""
        return [line.text for line in self.lines if line.mark == mark]

    def segments(self) -> list[bytes]:
        """What the client sends, cut where TLS begins."""
        parts = [b""]
        for line in self.lines:
            if line.mark == "t":
                parts.append(b"")
            parts[-1] += line.octets
        return parts


def unescape(text: str) -> bytes:
    """Text of a dialog as octets."""
    text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text)
    octets, at = b"", 0
    for match in _ESCAPE.finditer(text):
        octets += text[at : match.start()].encode()
        at = match.end()
        if match[1]:
            octets += bytes([int(match[1], 16)])
        elif match[2]:
            octets += chr(int(match[2], 16)).encode()
        else:
            octets += _SIMPLE[match[3]]
    return octets + text[at:].encode()


def parse(name: str, text: str) -> Dialog:
    """Read a dialog; raise ValueError with the line for what is none."""
    directives: dict[str, str] = {}
    lines: list[Line] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or raw.startswith("#"):
            continue
        mark, colon, rest = raw.partition(":")
        rest = rest.removeprefix(" ")
        if not colon or (len(mark) > 1 and lines) or mark in directives:
            raise ValueError(f"{name}:{number}: {raw!r} is no line of a dialog here")
        if len(mark) > 1:
            directives[mark] = rest.strip()
        elif mark in "cC":
            lines.append(Line(number, mark, rest, unescape(rest) + (b"\r\n" if mark == "c" else b"")))
        elif mark in "septx":
            lines.append(Line(number, mark, rest))
        else:
            raise ValueError(f"{name}:{number}: unknown mark {mark!r}")
    return Dialog(name, directives, tuple(lines))


def load(directory: Path) -> list[Dialog]:
    """All dialogs of a directory, by name."""
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.dialog"))]


def check_replies(dialog: Dialog, heard: bytes) -> str:
    """Compare all reply lines with the dialog's `s:` lines; "" when they agree, else what is wrong."""
    lines = heard.decode().split("\r\n")[:-1]
    at = 0
    for line in dialog.lines:
        if line.mark != "s":
            continue
        where = f"{dialog.name}:{line.number}: expected {line.text!r}"
        if line.text.endswith("*"):
            code = line.text[:-1]
            while at < len(lines) and lines[at].startswith(code + "-"):
                at += 1
            words = code
        else:
            words = line.text
        if at >= len(lines):
            return f"{where}, heard nothing more"
        if not lines[at].startswith(words) or lines[at][len(words) :][:1].isalnum():
            return f"{where}, heard {lines[at]!r}"
        at += 1
    return f"{dialog.name}: heard more: {lines[at:]}" if at < len(lines) else ""
