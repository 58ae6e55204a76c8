"""The way into the queue: state A to state B of mailsrv-spool(5).

A message is in the queue when its name is there and durable, and not before: unnamed file, synced, linked, directory
synced. Its modification time is its next attempt, which is now. Nothing is ever changed in a queue file.

Diagnostics: `enqueue` raises StorageFull, AlreadyThere (two messages of one ID) or StorageError; the message is then
not in the queue. `withdraw` raises StorageError.
"""

from typing import Protocol

from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.envelope import Envelope
from mailsrv.spool.format import encode_envelope
from mailsrv.spool.layout import Layout
from mailsrv.system import entropy
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import Octets


class Wakes(Protocol):
    """What wakes the queue's runner: system/wake.Waker."""

    def wake(self, path: str, octets: bytes = b"") -> object:
        """Best effort; never blocks, never fails."""
        ...


class Spool:
    """The queue of one data_dir, for all threads of a process."""

    def __init__(self, disk: Disk, data_dir: str, waker: Wakes | None = None) -> None:
        self._disk = disk
        self._layout = Layout(data_dir)
        self._waker = waker

    def enqueue(self, envelope: Envelope, octets: Octets) -> None:
        """Make the message durable under the envelope's ID, then wake the runner (the hint is the ID)."""
        line = encode_envelope(envelope, int.from_bytes(entropy.octets(8), "big"))
        queue = self._layout.queue
        with self._disk.open_unnamed(queue) as file:
            octets.write_to(file, line)
            file.sync()
            try:
                file.link(queue, envelope.id)
            except AlreadyThere:
                # Whoever made that name may have been killed before its sync; a caller may take it for done.
                self._disk.sync_directory(queue)
                raise
            try:
                self._disk.sync_directory(queue)
            except StorageError:
                self.withdraw(envelope.id)
                raise
        if self._waker is not None:
            self._waker.wake(self._layout.wake, envelope.id.encode())

    def enqueue_once(self, envelope: Envelope, octets: Octets) -> None:
        """The same for a message that may have been queued under this ID before a crash (a report).

        AlreadyThere also when it has left the queue since: it is held, set aside, or its journal says that it was done.
        """
        layout = self._layout
        with self._disk.lock(layout.lock, shared=True):
            # In the order of its possible ways: what leaves one place while we look is found in the next.
            for directory in (layout.queue, layout.hold, layout.journal, layout.corrupt):
                if self._disk.exists(f"{directory}/{envelope.id}"):
                    self._disk.sync_directory(directory)
                    raise AlreadyThere(f"{directory}/{envelope.id}: exists")
            self.enqueue(envelope, octets)

    def withdraw(self, identifier: str) -> None:
        """Take a message out of the queue again that nobody has been told of."""
        self._disk.unlink(f"{self._layout.queue}/{identifier}", missing_ok=True)
