"""An export as Maildir++: INBOX in cur and new, the other mailboxes beside them as directories that begin with a dot.

Octets are those of the store, CRLF included. Flags are in the names of files, keywords as Dovecot keeps them
(dovecot-keywords, 26 at most for each mailbox), internal dates are the files' times; `subscriptions` lists names.

Diagnostics: StorageError when the disk refuses.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from mailsrv.system.disk import Disk, UnnamedFile
from mailsrv.store.layout import directory_of
from mailsrv.store.message import tail_with
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.values import INBOX, MailboxInfo
from mailsrv.cli.export_form import Exported, Message, Tellers, messages

_LEAVES = ("tmp", "new", "cur")
_FIRST = ord("a")
_LETTERS = 26
_BATCH = 250  # messages that are synced together; each is an open file until then
_BATCH_OCTETS = 32 << 20
_SYNCS = 8  # at once


class _Batch:
    """Messages on their way into a directory: many are synced side by side, as they share the journal's commits then.
    Close it."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._pool = ThreadPoolExecutor(_SYNCS)
        self._waiting: list[tuple[UnnamedFile, str, int]] = []
        self._octets = 0

    def add(self, message: Message, name: str) -> int:
        """Write a message; it gets its name with the next ones. Gives its octets."""
        file = self._disk.open_unnamed(self._directory, 0o600)
        self._waiting.append((file, name, message.received))
        for piece in message.pieces():
            file.write([piece])
        self._octets += file.size
        if len(self._waiting) >= _BATCH or self._octets >= _BATCH_OCTETS:
            self.finish()
        return file.size

    def finish(self) -> None:
        """All of them have their names, and their octets are durable."""
        list(self._pool.map(lambda waiting: waiting[0].sync(), self._waiting))
        for file, name, received in self._waiting:
            file.link(self._directory, name)
            self._disk.set_time(f"{self._directory}/{name}", received)
            file.close()
        self._waiting = []
        self._octets = 0

    def close(self) -> None:
        for file, _, _ in self._waiting:
            file.close()
        self._pool.shutdown()


class MaildirExport:
    """See Export."""

    def __init__(self, disk: Disk, root: str, tellers: Tellers) -> None:
        self._disk = disk
        self._root = root
        self._tellers = tellers
        for leaf in _LEAVES:
            disk.make_directories(f"{root}/{leaf}")
        self._names: set[str] = set()

    def write(self, info: MailboxInfo, box: OpenMailbox) -> Exported:
        """See Export."""
        path = self._root
        if info.name != INBOX:
            name = directory_of(info.name, self._names)
            self._names.add(name)
            path = f"{self._root}/{name}"
            for leaf in _LEAVES:
                self._disk.make_directories(f"{path}/{leaf}")
            self._disk.replace(f"{path}/maildirfolder", b"")
        letters: dict[str, str] = {}
        count = octets = 0
        batch = _Batch(self._disk, f"{path}/cur")
        with closing(batch):
            for message in messages(box, self._tellers):
                keywords = sorted(flag for flag in message.flags if flag[:1] != "\\")
                for keyword in keywords:
                    if keyword not in letters and len(letters) < _LETTERS:
                        letters[keyword] = chr(_FIRST + len(letters))
                tail = tail_with("", message.word) + "".join(sorted(letters.get(one, "") for one in keywords))
                octets += batch.add(message, message.base + tail)
                count += 1
                self._tellers.step()
            batch.finish()
        self._disk.sync_directory(f"{path}/cur")
        if letters:
            lines = [f"{ord(letter) - _FIRST} {keyword}\n" for keyword, letter in letters.items()]
            self._disk.replace(f"{path}/dovecot-keywords", "".join(lines).encode())
        return Exported(info.name, count, octets)

    def finish(self, infos: Sequence[MailboxInfo]) -> None:
        """See Export."""
        names = [directory_of(info.name)[1:].split(".") for info in infos if info.subscribed]
        lines = ["V\t2", "", *("\t".join(levels) for levels in names), ""]
        self._disk.replace(f"{self._root}/subscriptions", "\n".join(lines).encode())
