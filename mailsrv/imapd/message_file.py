"""The file of one message as FETCH looks into it: spans of sections, parts without their encoding, and what is kept
ready, for when it is not (RFC 9051 section 6.4.5).

Sections are found by offsets; a message is searched for its parts only when a part is asked for that its row does not
tell. Clients fetch a large part in many pieces, so that the places of the parts of large messages are remembered.

Diagnostics: StorageError when the file cannot be read.
"""

import mmap
import threading
from collections import OrderedDict
from collections.abc import Iterator

from mailsrv.errors import StorageError
from mailsrv.system.openfile import OpenFile
from mailsrv.mail.mime import Octets, Part, Span, read_structure
from mailsrv.mail.mime_header import find_header_end
from mailsrv.mail.preview import preview
from mailsrv.mail.transfer import KNOWN, decode, decoded_size
from mailsrv.imap.structure import body_structure, envelope
from mailsrv.imap.fetch_items import Text
from mailsrv.store.ready import MAX_HEADER, header_fields
from mailsrv.store.ready_tables import FIELDS

IN_MEMORY = 1 << 20  # octets of a message that are read at once; a larger one is mapped
REMEMBERED = 1 << 16  # octets of a message whose structure is worth remembering
TREES = 32  # that are remembered


class MessageFile:
    """One open message. `header_size` and `structure` are what its row tells, 0 and None for nothing. `searched`: how
    many octets were looked through so far, for parts or to be decoded."""

    __slots__ = ("_found", "_header_size", "_octets", "_tree", "file", "searched", "structure")

    def __init__(self, file: OpenFile, header_size: int | None = 0, structure: bytes | None = None) -> None:
        self.file = file
        self.searched = 0
        self.structure = structure
        self._header_size = header_size or 0
        self._octets: Octets | None = None
        self._tree: Part | None = None
        self._found: Part | None = None

    @property
    def octets(self) -> Octets:
        """All of it."""
        if self._octets is None:
            size = self.file.size
            if size <= IN_MEMORY:
                self._octets = self.file.read_at(0, size)
            else:
                try:
                    self._octets = mmap.mmap(self.file.fileno(), size, access=mmap.ACCESS_READ)
                except (OSError, ValueError) as error:
                    raise StorageError(f"{self.file.path}: {error}") from error
        return self._octets

    def read(self, span: Span) -> bytes:
        """The octets of a span."""
        if self._octets is not None:
            return bytes(self._octets[span.offset : span.end])
        octets = self.file.read_at(*span)
        if len(octets) != span.length:
            raise StorageError(f"{self.file.path}: is shorter than it was")
        return octets

    @property
    def header_size(self) -> int:
        """Octets of the header with its empty line."""
        if not self._header_size:
            octets = self.octets if self.file.size <= IN_MEMORY else self.file.read_at(0, IN_MEMORY)
            assert isinstance(octets, bytes)
            end = find_header_end(octets, 0, len(octets))
            self._header_size = end if end < len(octets) or end == self.file.size else self.tree.header.length
        return self._header_size

    @property
    def tree(self) -> Part:
        """Where the parts are, and their encodings; of large messages nothing else (see `_slim`)."""
        if self._tree is None:
            self._tree = _TREES.tree(self)
        return self._tree

    def search(self) -> Part:
        """Where the parts are, with all that is known of them."""
        if self._found is None:
            self.searched += self.file.size
            self._found = read_structure(self.octets)
        return self._found

    def span(self, part: tuple[int, ...], text: Text) -> Span | None:
        """The octets of BODY[section]; a header whole, whatever fields of it are asked for. None where there is no such
        section."""
        word = "HEADER" if text in (Text.FIELDS, Text.FIELDS_NOT) else text.value.decode()
        size = self.file.size
        if not part:
            if not word:
                return Span(0, size)
            return Span(0, self.header_size) if word == "HEADER" else Span(self.header_size, size - self.header_size)
        if part == (1,) and word in ("", "MIME") and self.structure and not self.structure.startswith(b"(("):
            # A message that is no multipart is its own part 1.
            return Span(self.header_size, size - self.header_size) if not word else Span(0, self.header_size)
        return self.tree.section(part, word)

    # Without the transfer encoding

    def encoding(self, part: tuple[int, ...]) -> bytes | None:
        """The encoding of a part, `7bit` where it holds parts or is the message; None where there is no such part.
        Not one of transfer.KNOWN: nobody knows how to undo it."""
        found = self.tree.part(part)
        if found is None:
            return None
        return b"7bit" if not part or found.is_multipart or found.is_message else found.encoding

    def decoded_size(self, span: Span, encoding: bytes) -> int:
        """How many octets a body has without its encoding."""
        self.searched += span.length
        return decoded_size(self.octets, span, encoding)

    def decode(self, span: Span, encoding: bytes, partial: tuple[int, int] | None) -> Iterator[bytes]:
        """A body without its encoding, or part of that, in blocks."""
        self.searched += span.length
        if partial is None:
            return decode(self.octets, span, encoding)
        return _cut_blocks(decode(self.octets, span, encoding), *partial)

    # What is kept ready

    def ready(self, name: str) -> bytes | str:
        """A column of the table `ready`, whatever its size."""
        header = self.read(Span(0, min(self.header_size, MAX_HEADER)))
        if name == "envelope":
            return envelope(header)
        if name == "fields":
            return header_fields(header, FIELDS)
        structure = self.search()
        return preview(self.octets, structure) if name == "preview" else body_structure(structure, True)


def _cut_blocks(blocks: Iterator[bytes], first: int, count: int) -> Iterator[bytes]:
    for block in blocks:
        if first >= len(block):
            first -= len(block)
            continue
        block = block[first : first + count]
        first = 0
        count -= len(block)
        yield block
        if not count:
            return


def _slim(part: Part) -> Part:
    """A tree without what a sender can make large."""
    return part._replace(
        type=b"multipart" if part.is_multipart else b"",
        subtype=b"",
        parameters=(),
        id=None,
        description=None,
        encoding=part.encoding if part.encoding in KNOWN else b"?",
        md5=None,
        disposition=None,
        language=(),
        location=None,
        parts=tuple(map(_slim, part.parts)),
        enclosed_header=None if part.enclosed_header is None else b"",
    )


class _Trees:
    """The trees of large messages, by their file: messages are never written again, so that inode, size and time are
    enough to know one by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, int, float], Part] = OrderedDict()

    def tree(self, message: MessageFile) -> Part:
        file = message.file
        if file.size < REMEMBERED:
            return message.search()
        key = (file.inode, file.size, file.changed)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        tree = _slim(message.search())
        with self._lock:
            self._known[key] = tree
            if len(self._known) > TREES:
                self._known.popitem(last=False)
        return tree


_TREES = _Trees()
