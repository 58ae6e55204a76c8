"""Importing from mbox files: one, or a directory of them with further directories below it.

A mailbox is called like its file, without `.mbox`; in Thunderbird's directories `Sent.sbd` holds what is below `Sent`.
Flags come from the header fields that mail programs keep in such files, which are taken out; the internal date is that
of the line `From `, or the Date field. A message has no name there: it is known again by a digest of its octets.

Diagnostics: Refused where there is no mbox; Unreadable and OSError as the file system says; GrammarError when what
was named is no mbox.
"""

import os
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mailsrv.errors import GrammarError, Refused
from mailsrv.imap import utf7
from mailsrv.mail.header import scan
from mailsrv.mail.mbox import Letter, Mbox
from mailsrv.mail.mbox_status import is_placeholder, take_status
from mailsrv.mail.mime_header import find_header_end
from mailsrv.mail.sent_date import read_sent_date
from mailsrv.store.values import INBOX
from mailsrv.cli.import_source import Item, Origin, clean_name, distinct, use_of

STANDARD_INPUT = "-"
_ENDINGS = (".mbox", ".mbx", ".sbd")
_DOT = "&AC4-"  # a dot at the beginning of a name, as export_mbox writes it
_MAX_HEADER = 256 << 10
_DEEPEST = 32


class MboxSource:
    """The file or directory at `path`; `-` is `stdin`."""

    kind = "mbox"

    def __init__(self, path: str, stdin: BinaryIO) -> None:
        self._stdin = stdin
        self._path = path if path == STANDARD_INPUT else os.path.realpath(path)
        self.identity = self._path
        if path != STANDARD_INPUT and not os.path.exists(self._path):
            raise Refused(f"{path}: there is no such file, or this user may not see it")

    def mailboxes(self) -> list[Origin]:
        """See Source."""
        if self._path == STANDARD_INPUT:
            return [Origin(INBOX, STANDARD_INPUT)]
        if not os.path.isdir(self._path):
            name = clean_name([_level(os.path.basename(self._path))]) or INBOX
            return [Origin(name, self._path, use_of(name))]
        found = []
        for path, levels in self._walk(self._path, 0):
            if name := clean_name(levels):
                found.append(Origin(name, path, use_of(name)))
        if not found:
            raise Refused(f"{self._path}: there is no mbox in it")
        return distinct(found)

    def items(self, origin: Origin, known: Container[str]) -> Iterator[Item]:
        """See Source. Keys are the digests of octets, so that everything is read."""
        with self._open(origin.key) as read:
            for number, letter in enumerate(self._letters(origin.key, read), 1):
                head, rest = _take_head(letter)
                if number == 1 and is_placeholder(head):
                    continue
                header, flags = take_status(head)
                yield Item("", f"message {number}", flags, _date(letter, header), _chain(header, rest))

    def _letters(self, path: str, read: Callable[[int], bytes]) -> Iterator[Letter]:
        try:
            yield from Mbox(read).letters()
        except GrammarError as error:
            raise GrammarError(f"{'standard input' if path == STANDARD_INPUT else path}: {error}") from None

    def close(self) -> None:
        """See Source."""

    @contextmanager
    def _open(self, path: str) -> Iterator[Callable[[int], bytes]]:
        if path == STANDARD_INPUT:
            yield self._stdin.read
            return
        with open(path, "rb", buffering=0) as file:
            yield file.read

    def _walk(self, path: str, depth: int) -> Iterator[tuple[str, list[str]]]:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.name[0] != ".")
        for name in names:
            below = f"{path}/{name}"
            if os.path.isdir(below) and depth < _DEEPEST:
                for found, levels in self._walk(below, depth + 1):
                    yield found, [_level(name), *levels]
            elif os.path.isfile(below) and _is_mbox(below):
                yield below, [_level(name)]


def _level(name: str) -> str:
    """One level of a mailbox's name from that of a file or directory."""
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            break
    try:
        return ".".join(utf7.decode(part.encode()) for part in name.split(_DOT))
    except (GrammarError, UnicodeEncodeError):
        return name


def _is_mbox(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(5)
            return start == b"From " or not start and path.endswith(_ENDINGS[0])
    except OSError:
        return True  # said when it is read


def _take_head(letter: Letter) -> tuple[bytes, Iterator[bytes]]:
    """A message's header with the empty line behind it, as far as it is kept in memory, and the rest in pieces."""
    head = b""
    for piece in letter.pieces:
        head += piece
        end = find_header_end(head, 0, len(head))
        if end < len(head) or len(head) > _MAX_HEADER:
            return head[:end], _chain(head[end:], letter.pieces)
    return head, iter(())


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _date(letter: Letter, header: bytes) -> int | None:
    if letter.received is not None:
        return letter.received
    fields = scan(header.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), True)
    for value in fields.values(b"date") if fields is not None else ():
        if date := read_sent_date(value):
            return date.seconds
    return None
