"""An export as mbox files: `Sent.mbox`, and `Lists/python.mbox` for what is below another mailbox.

The form is mboxrd: lines that begin with `From ` are quoted, line ends are LF. Flags and keywords are in header fields
at the top of each message (Status, X-Status, X-Keywords), the internal date is in the line `From `, in UTC.

Diagnostics: StorageError when the disk refuses.
"""

import hashlib
from collections.abc import Iterator, Sequence

from mailsrv.system.disk import Disk
from mailsrv.imap import utf7
from mailsrv.mail.line_ends import to_lf
from mailsrv.mail.mbox import quote
from mailsrv.mail.mbox_status import format_status
from mailsrv.store.layout import SEPARATOR
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.values import MailboxInfo
from mailsrv.cli.export_form import Exported, Tellers, messages

_ENDING = ".mbox"
_MAX_NAME = 200  # octets of a file's name
_RETURN_PATH = b"Return-Path: <"


class MboxExport:
    """See Export."""

    def __init__(self, disk: Disk, root: str, tellers: Tellers) -> None:
        self._disk = disk
        self._root = root
        self._tellers = tellers

    def write(self, info: MailboxInfo, box: OpenMailbox) -> Exported:
        """See Export."""
        levels = [file_of(level) for level in info.name.split(SEPARATOR)]
        directory = "/".join([self._root, *levels[:-1]])
        self._disk.make_directories(directory)
        count = octets = 0
        with self._disk.open_unnamed(directory, 0o600) as file:
            for message in messages(box, self._tellers):
                first, rest = _peek(message.pieces())
                for piece in quote(to_lf(rest), _sender(first), message.received, format_status(message.flags)):
                    file.write([piece])
                octets += message.file.size
                count += 1
                self._tellers.step()
            file.sync()
            file.link(directory, levels[-1] + _ENDING)
        self._disk.sync_directory(directory)
        return Exported(info.name, count, octets)

    def finish(self, infos: Sequence[MailboxInfo]) -> None:
        """See Export: every file is durable already."""


def file_of(level: str) -> str:
    """The name of a file or directory for one level of a mailbox's name; import_mbox reads it back."""
    name = utf7.encode(level).decode("ascii")
    if name.startswith("."):
        name = f"&AC4-{name[1:]}"
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 17]}-{hashlib.sha256(level.encode()).hexdigest()[:16]}"
    return name


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    first = next(pieces, b"")

    def whole() -> Iterator[bytes]:
        yield first
        yield from pieces

    return first, whole()


def _sender(first: bytes) -> str:
    """The reverse-path that delivery has put on top; "" for none."""
    if not first.startswith(_RETURN_PATH):
        return ""
    return first[len(_RETURN_PATH) : first.find(b">", 0, 1000)].decode("ascii", "replace")
