"""What waits in the queue and when: the whole directory, read once, into little memory.

A message costs its name as a text of Python and sixteen octets; no file is opened. What the times mean and whether
they survived a crash is found out by who claims a message.

Diagnostics: StorageError when a directory cannot be read. Names that are no queue IDs are left alone, each with an
event.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import is_id
from mailsrv.system import events
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queued messages, in no order: `times[i]` is the next attempt of `ids[i]`, in seconds since the epoch."""

    ids: list[str]
    times: "array[float]"

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[float, str]]:
        return zip(self.times, self.ids, strict=True)


def scan(disk: Disk, layout: Layout, log: Log) -> Waiting:
    """All messages in queue/ that are not in hold/."""
    held = frozenset(disk.names(layout.hold))
    waiting = Waiting([], array("d"))
    for name, moment in disk.times(layout.queue):
        if name in held:
            continue
        if not is_id(name):
            events.corrupt(log, id="", path=f"{layout.queue}/{name}", reason="no queue ID; it is left alone")
            continue
        waiting.ids.append(name)
        waiting.times.append(moment)
    return waiting


def list_ids(disk: Disk, layout: Layout) -> list[str]:
    """The IDs of all messages that are queued or held, sorted: in the order of their arrival."""
    return sorted(name for name in {*disk.names(layout.queue), *disk.names(layout.hold)} if is_id(name))
