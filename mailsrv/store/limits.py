"""What accounts may store where somebody has said so by SETQUOTA or `mailsrv quota`: one plain text file for all of
them, data_dir/quotas (mailsrv-store(5), QUOTAS; RFC 9208 section 4.1.3).

A line holds for its account in place of all that the configuration says, until it is taken out. The file is read where
something is to be stored, which costs one stat while it stays as it is; a process that runs sees a change at once.
Nothing is counted here.

Diagnostics: `set` raises StorageError for a file that is damaged, which is not written over, and when the disk refuses;
`find` takes what the configuration says where the file cannot be read.
"""

from collections.abc import Mapping

from mailsrv.errors import StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.store.layout import Layout
from mailsrv.store.small_file import SmallFiles
from mailsrv.store.values import Usage

FILE = "quotas"
LOCK = "quotas.lock"

MAX_NUMBER = (1 << 63) - 1  # RFC 9208 section 3.1.2

_HEAD = "quotas 1"
_DIGITS = len(str(MAX_NUMBER))


class Limits:
    """The file of one data_dir; threads may share it. One per process is enough."""

    def __init__(self, disk: Disk, data_dir: str, clock: Clock) -> None:
        self._data_dir = data_dir
        self._path = f"{data_dir}/{FILE}"
        self._files: SmallFiles[dict[str, Usage]] = SmallFiles(disk, clock, parse_limits, format_limits, dict)

    def find(self, account: str, configured: Usage) -> Usage:
        """What an account may store, `configured` being what the configuration says."""
        try:
            return self._files.read(self._path).get(account, configured)
        except StorageError:
            return configured

    def known(self) -> Mapping[str, Usage]:
        """What was set, by account. Raises StorageError for a damaged file."""
        return self._files.read(self._path)

    def set(self, account: str, limits: Usage | None) -> None:
        """Set what an account may store (0: any number), durably; None: what the configuration says holds again."""
        Layout.of(self._data_dir, account)  # ValueError for what is no name
        with self._files.change(self._path, f"{self._data_dir}/{LOCK}") as known:
            known.pop(account, None)
            if limits is not None:
                known[account] = limits


def parse_limits(octets: bytes) -> dict[str, Usage]:
    """Read the file; ValueError with `line: what is wrong`."""
    lines = octets.decode("ascii", "replace").split("\n")
    if lines.pop() or not lines or lines[0] != _HEAD:
        raise ValueError(f"1: the first line is not `{_HEAD}`, or the last one has no end")
    known: dict[str, Usage] = {}
    for number, line in enumerate(lines[1:], 2):
        account, *numbers = line.split("\t")
        if not account or len(numbers) != 2 or not all(map(_is_number, numbers)):
            raise ValueError(f"{number}: not an account, octets and messages with tabs between")
        if account in known:
            raise ValueError(f"{number}: this account stands in an earlier line")
        known[account] = Usage(int(numbers[0]), int(numbers[1]))
    return known


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) <= MAX_NUMBER


def format_limits(known: Mapping[str, Usage]) -> bytes:
    """What `parse_limits` reads."""
    lines = [f"{account}\t{limits.octets}\t{limits.messages}" for account, limits in sorted(known.items())]
    return "\n".join([_HEAD, *lines, ""]).encode()
