"""Setting aside what cannot be read: a queue file and its journal go to corrupt/ together, with all their octets.

Nothing is ever deleted from there, and a name that is taken gets a number behind it. The queue file goes first: a
message whose journal alone is missing would be delivered anew.

Diagnostics: StorageError when the disk refuses; the files then lie in one place at least, and it may be tried again.
"""

import itertools

from mailsrv.errors import AlreadyThere
from mailsrv.spool.layout import Layout
from mailsrv.system import events
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log

JOURNAL_SUFFIX = ".journal"


def set_aside(disk: Disk, layout: Layout, identifier: str, log: Log, reason: str) -> None:
    """Move everything of this ID to corrupt/, durably, and say so. Only for who holds the message's claim."""
    places = ((layout.queue, ""), (layout.hold, ""), (layout.journal, JOURNAL_SUFFIX))
    found = {
        directory: _link_free(disk, f"{directory}/{identifier}", f"{layout.corrupt}/{identifier}{suffix}")
        for directory, suffix in places
        if disk.exists(f"{directory}/{identifier}")
    }
    disk.sync_directory(layout.corrupt)
    for directory in found:
        disk.unlink(f"{directory}/{identifier}", missing_ok=True)
        disk.sync_directory(directory)
    for path in dict.fromkeys(found.values()):
        events.corrupt(log, id=identifier, path=path, reason=reason)


def _link_free(disk: Disk, source: str, target: str) -> str:
    """Link a file to the first free name, or find that it lies there already; gives the name."""
    ours = disk.stamp(source)
    for number in itertools.count():
        path = f"{target}.{number}" if number else target
        try:
            disk.link(source, path)
        except AlreadyThere:
            other = disk.stamp(path)
            if ours is None or other is None or ours.inode != other.inode:
                continue
        return path
    raise AssertionError("numbers do not end")
