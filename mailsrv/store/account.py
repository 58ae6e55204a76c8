"""The accounts' directories: a Maildir each under data_dir/accounts, made durable before anything is linked into them.

Nothing in a Maildir is changed or removed here.

Diagnostics: StorageError when a directory cannot be made; ValueError for a name that no account can have, which the
configuration has checked before.
"""

import re
import threading

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk

ACCOUNTS = "accounts"
LEAVES = ("tmp", "new", "cur")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class Store:
    """The Maildirs of one data_dir, for all threads of a process."""

    def __init__(self, disk: Disk, data_dir: str) -> None:
        self._disk = disk
        self._root = f"{data_dir}/{ACCOUNTS}"
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    def directory(self, account: str) -> str:
        """The account's Maildir, which may not exist yet."""
        if not _NAME.fullmatch(account):
            # A name with a slash or a leading dot would lead out of accounts/.
            raise ValueError(f"{account!r} is not the name of an account")
        return f"{self._root}/{account}"

    def prepare(self, *accounts: str) -> None:
        """Make the accounts' tmp, new and cur where they are missing; all are durable afterwards.

        What is there already is synced too: another process may have made it and crashed before it did so, or it was
        brought here by hand (a restored account). One sync an account, and two for all.

        An account that fails keeps no other from being prepared; the first failure is raised at the end.
        """
        made = []
        failures = []
        for account in accounts:
            try:
                self._make(self.directory(account))
                made.append(account)
            except StorageError as error:
                failures.append(error)
        if made:
            for parent in (self._root, self._root.rpartition("/")[0]):
                self._disk.sync_directory(parent)
            with self._lock:
                self._prepared.update(made)
        if failures:
            raise failures[0]

    def _make(self, directory: str) -> None:
        """One Maildir, durable up to its own name."""
        for leaf in LEAVES:
            if not self._disk.exists(f"{directory}/{leaf}"):
                self._disk.make_directories(f"{directory}/{leaf}")
        self._disk.sync_directory(directory)

    def new_directory(self, account: str) -> str:
        """The account's new/, prepared once per process: another one may have made it and crashed before syncing."""
        directory = self.directory(account)
        if account not in self._prepared:
            self.prepare(account)
        return f"{directory}/new"

    def mailboxes(self, account: str) -> list[str]:
        """The directories of all the account's mailboxes: its Maildir, and those in it that begin with a dot."""
        directory = self.directory(account)
        if not self._disk.exists(directory):
            return []
        inner = [f"{directory}/{name}" for name in sorted(self._disk.names(directory)) if name[0] == "."]
        return [directory, *(path for path in inner if self._disk.exists(f"{path}/cur"))]
