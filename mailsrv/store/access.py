"""Who may do what with the mailboxes that accounts share: one plain text file an account, acl/NAME (mailsrv-store(5),
ACCESS; RFC 4314).

All of these files lie in one directory, so that to learn who shares anything costs one stat. A line names a mailbox by
its object id, which a rename does not change and no other mailbox ever gets: what was granted ends with the mailbox.
The owner has every right, always. A file that cannot be read grants nothing. Mailboxes are not known here.

Diagnostics: `change` raises TooMany, and StorageError for a file that is damaged, which is not written over; all raise
StorageError when the disk refuses, and ValueError for what is no account's name.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mailsrv.errors import StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Stamp
from mailsrv.store.layout import Layout
from mailsrv.store.refusals import TooMany
from mailsrv.store.small_file import SmallFiles, is_old
from mailsrv.store.values import EVERY_RIGHT

DIRECTORY = "acl"
ANYONE = "anyone"  # the identifier of every account
NEGATIVE = "-"  # begins an identifier whose rights are taken away (RFC 4314 section 2)

MAX_LINES = 20_000  # of one account

_HEAD = "acl 1"
_LOCK = ".lock"
_RIGHTS = re.compile(f"[{EVERY_RIGHT}]+")

# Rights by identifier, by the object id of a mailbox.
Grants = Mapping[str, Mapping[str, str]]

_NOTHING: Grants = {}


class Access:
    """The files of all accounts; threads may share it. One per process."""

    def __init__(self, disk: Disk, data_dir: str, clock: Clock) -> None:
        self._disk = disk
        self._data_dir = data_dir
        self._directory = f"{data_dir}/{DIRECTORY}"
        self._clock = clock
        self._files: SmallFiles[dict[str, dict[str, str]]] = SmallFiles(
            disk, clock, parse_grants, format_grants, dict
        )
        self._owners: tuple[Stamp, list[str]] | None = None

    def owners(self) -> list[str]:
        """The accounts that share anything, sorted; one stat while nothing changes."""
        stamp = self._disk.stamp(self._directory)
        if stamp is None:
            return []
        known = self._owners
        if known is not None and known[0] == stamp:
            return known[1]
        owners = sorted(name for name in self._disk.names(self._directory) if not name.startswith("."))
        self._owners = (stamp, owners) if is_old(self._clock, stamp) else None
        return owners

    def grants(self, owner: str) -> Grants:
        """What an account has granted; nothing where its file cannot be read."""
        try:
            return self._files.read(self._path(owner))
        except StorageError:
            return _NOTHING

    def rights(self, account: str, owner: str, mailboxid: str) -> str:
        """What an account may do with a mailbox of `owner`: letters of EVERY_RIGHT in its order, "" for nothing. What
        is granted to it or to anyone counts, less what either is denied (RFC 4314 section 2)."""
        if account == owner:
            return EVERY_RIGHT
        entries = self.grants(owner).get(mailboxid)
        if not entries:
            return ""
        granted = entries.get(account, "") + entries.get(ANYONE, "")
        denied = entries.get(NEGATIVE + account, "") + entries.get(NEGATIVE + ANYONE, "")
        return "".join(letter for letter in EVERY_RIGHT if letter in granted and letter not in denied)

    @contextmanager
    def change(self, owner: str) -> Iterator[dict[str, dict[str, str]]]:
        """What an account has granted, alone: what the block changes in it is durable when the block ends. Identifiers
        without rights and mailboxes without identifiers are dropped."""
        path = self._path(owner)
        self._disk.make_directories(self._directory)
        with self._files.change(path, f"{self._directory}/{_LOCK}") as grants:
            yield grants
            if sum(map(len, grants.values())) > MAX_LINES:
                raise TooMany(f"an account grants rights {MAX_LINES} times at most")

    def _path(self, owner: str) -> str:
        Layout.of(self._data_dir, owner)  # a name, and no way out of the directory
        return f"{self._directory}/{owner}"


def parse_grants(octets: bytes) -> dict[str, dict[str, str]]:
    """Read a file; ValueError with `line: what is wrong`."""
    try:
        lines = octets.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"1: {error}") from error
    if lines.pop() or not lines or lines[0] != _HEAD:
        raise ValueError(f"1: the first line is not `{_HEAD}`, or the last one has no end")
    grants: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines[1:], 2):
        mailboxid, _, rest = line.partition("\t")
        identifier, _, rights = rest.partition("\t")
        if not mailboxid or not identifier or not _RIGHTS.fullmatch(rights):
            raise ValueError(f"{number}: not an id, an identifier and rights ({EVERY_RIGHT}) with tabs between")
        if identifier in grants.setdefault(mailboxid, {}):
            raise ValueError(f"{number}: this identifier stands in an earlier line of the mailbox")
        grants[mailboxid][identifier] = rights
    return grants


def format_grants(grants: Grants) -> bytes:
    """What `parse_grants` reads."""
    lines = [
        f"{mailboxid}\t{identifier}\t{rights}"
        for mailboxid, entries in sorted(grants.items())
        for identifier, rights in sorted(entries.items())
        if rights
    ]
    return "\n".join([_HEAD, *lines, ""]).encode()
