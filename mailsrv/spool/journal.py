"""The journal of one message on disk: read once, appended to by who holds the message's claim, never rewritten.

An entry counts once `append` has returned: written with one write and synced, the name too. What a process that was
killed had written and not synced is made durable before anything is done because of it.

Diagnostics: `load` raises GrammarError for a journal that is damaged or another message's; everything raises
StorageError when the disk refuses. An append that failed left nothing that counts, and may be tried again.
"""

from mailsrv.spool.history import Entry, History, complete, encode, encode_first, read_history
from mailsrv.spool.layout import Layout
from mailsrv.system.disk import Disk, Missing

LIMIT = 256 << 20  # octets: a thousand recipients with the longest replies over five days and more


class Journal:
    """Used by one thread at a time. `exists`: whether there is, or may be, a file; `settled`: whether what it says is
    known to be durable, name and all."""

    __slots__ = ("_clean", "_directory", "_disk", "_length", "_nonce", "_path", "exists", "settled")

    def __init__(self, disk: Disk, layout: Layout, identifier: str, nonce: int) -> None:
        self._disk = disk
        self._directory = layout.journal
        self._path = f"{layout.journal}/{identifier}"
        self._nonce = nonce
        self._length = 0  # octets that count
        self._clean = True  # nothing lies behind them
        self.exists = False
        self.settled = False

    def load(self, recipients: int) -> History:
        """What it says; `recipients` is how many the message has."""
        if not self._disk.exists(self._path):
            return History()  # as for nearly every message: quicker than an exception
        try:
            octets = self._disk.read(self._path, LIMIT)
        except Missing:
            return History()
        self.exists = True
        self._length = complete(octets)
        self._clean = self._length == len(octets)
        return read_history(octets[: self._length], self._nonce, recipients)

    def append(self, *entries: Entry) -> None:
        """Add entries with one write; all are durable afterwards, and what was there before."""
        octets = b"".join(map(encode, entries))
        if not self._length:
            octets = encode_first(self._nonce) + octets
        if not self._clean:
            self._clear_end()
        self.exists, self._clean = True, False
        self._disk.append(self._path, octets, sync=True)
        self._sync_name()
        self._length += len(octets)
        self._clean = True

    def settle(self) -> None:
        """Make durable what `load` found: whoever wrote it may have been killed before its sync."""
        if self.exists and not self.settled:
            self._disk.cut(self._path, self._length)
            self._clean = True
            self._sync_name()

    def _clear_end(self) -> None:
        """Take away what a crash or a failed append left behind the whole lines."""
        try:
            self._disk.cut(self._path, self._length)
        except Missing:
            # The append failed before it made the file.
            if self._length:
                raise

    def _sync_name(self) -> None:
        if not self.settled:
            self._disk.sync_directory(self._directory)
            self.settled = True
