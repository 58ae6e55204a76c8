"""Annotations: named values that clients keep for mailboxes and for themselves (RFC 5464), in one plain text file an
account, accounts/NAME/metadata (mailsrv-store(5), METADATA).

Not in the index, which may be removed at any time: no message says these again. Each account has its private values in
its own file, also those of mailboxes that others share; shared ones are in the file of the mailbox's owner. A line
names a mailbox by its object id, so that a rename changes nothing, and what belongs to a mailbox that is no more is
dropped.

Diagnostics: `change` raises TooMany, and everything StorageError, as mailsrv.store.small_file.
"""

import re
from collections.abc import Container, Mapping

from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Stamp
from mailsrv.store.layout import Layout
from mailsrv.store.refusals import TooMany
from mailsrv.store.small_file import SmallFiles

FILE = "metadata"
LOCK = "metadata.lock"

SERVER = "-"  # in place of a mailbox: what the account keeps about the server

# Of one value; the protocol lets larger ones in (Limits.literal), so that they are refused with this number.
MAX_VALUE = 32 << 10
MAX_ENTRIES = 200  # of one mailbox
MAX_ALL_ENTRIES = 5000  # of one account
MAX_OCTETS = 1 << 20  # of all values of one account

_HEAD = b"metadata 1"
_UNSAFE = re.compile(rb"[\x00-\x1f\x7f\\]")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2}))?")

# Values by entry, by what they belong to: SERVER, the object id of an own mailbox, OWNER/ID for those of others.
Values = Mapping[str, Mapping[str, bytes]]


class Metadata:
    """The files of all accounts; threads may share it. One per process."""

    def __init__(self, disk: Disk, data_dir: str, clock: Clock) -> None:
        self._disk = disk
        self._data_dir = data_dir
        self._files: SmallFiles[dict[str, dict[str, bytes]]] = SmallFiles(
            disk, clock, parse_values, format_values, dict
        )

    def values(self, account: str, place: str) -> Mapping[str, bytes]:
        """What an account keeps for a place, by entry; not to be changed."""
        values: Values = self._files.read(self._path(account))
        return values.get(place, {})

    def stamp(self, account: str) -> Stamp | None:
        """What tells one state of an account's values from another; None where it has none."""
        return self._disk.stamp(self._path(account))

    def change(
        self, account: str, place: str, values: Mapping[str, bytes | None], alive: Container[str] | None = None
    ) -> None:
        """Set values, all or none; None removes one. What belongs to own mailboxes that are not `alive` is dropped."""
        path = self._path(account)
        with self._files.change(path, f"{path.rpartition('/')[0]}/{LOCK}") as known:
            for old in list(known):
                if alive is not None and old != SERVER and "/" not in old and old not in alive:
                    del known[old]
            entries = known.setdefault(place, {})
            for entry, value in values.items():
                entries.pop(entry, None)
                if value is not None:
                    entries[entry] = value
            if any(value is not None for value in values.values()):
                _check(known, entries)

    def _path(self, account: str) -> str:
        return f"{Layout.of(self._data_dir, account).root}/{FILE}"


def _check(known: Values, entries: Mapping[str, bytes]) -> None:
    """Raise TooMany where an account would keep too much."""
    if len(entries) > MAX_ENTRIES:
        raise TooMany(f"a mailbox has at most {MAX_ENTRIES} entries")
    if sum(map(len, known.values())) > MAX_ALL_ENTRIES:
        raise TooMany(f"an account has at most {MAX_ALL_ENTRIES} entries")
    if sum(len(value) for some in known.values() for value in some.values()) > MAX_OCTETS:
        raise TooMany(f"an account keeps at most {MAX_OCTETS} octets of values")


def parse_values(octets: bytes) -> dict[str, dict[str, bytes]]:
    """Read a file; ValueError with `line: what is wrong`."""
    lines = octets.split(b"\n")
    if lines.pop() or not lines or lines[0] != _HEAD:
        raise ValueError(f"1: the first line is not `{_HEAD.decode()}`, or the last one has no end")
    values: dict[str, dict[str, bytes]] = {}
    for number, line in enumerate(lines[1:], 2):
        parts = line.split(b"\t")
        if len(parts) != 3 or not parts[0].isascii() or not parts[1].isascii() or not parts[1].startswith(b"/"):
            raise ValueError(f"{number}: not a mailbox's id, an entry and its value with tabs between")
        try:
            value = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), parts[2])
        except TypeError as error:
            raise ValueError(f"{number}: a backslash without x and two digits behind it") from error
        values.setdefault(parts[0].decode(), {})[parts[1].decode()] = value
    return values


def format_values(values: Values) -> bytes:
    """What `parse_values` reads."""
    lines = [_HEAD]
    for place, entries in sorted(values.items()):
        for entry, value in sorted(entries.items()):
            escaped = _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value)
            lines.append(b"%b\t%b\t%b" % (place.encode(), entry.encode(), escaped))
    return b"\n".join([*lines, b""])
