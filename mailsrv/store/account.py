"""The accounts' directories: a Maildir each under data_dir/accounts, made durable before anything is linked into them.

Mailboxes other than INBOX are Maildirs in it whose names begin with a dot (Maildir++), made when the first message for
them comes. Nothing in a Maildir is changed or removed here.

Diagnostics: StorageError when a directory cannot be made; ValueError for a name that no account or no mailbox can have,
which the configuration and the reader of queue files have checked before.
"""

import re
import threading

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk

ACCOUNTS = "accounts"
LEAVES = ("tmp", "new", "cur")
# An empty file in every mailbox but INBOX. Programs that deliver into such a directory and keep the quota of Maildir++
# see by it that maildirsize lies in the directory above.
MARK = "maildirfolder"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # as in spool/format: no dot, which parts levels in Maildir++


class Store:
    """The Maildirs of one data_dir, for all threads of a process."""

    def __init__(self, disk: Disk, data_dir: str) -> None:
        self._disk = disk
        self.data_dir = data_dir
        self._root = f"{data_dir}/{ACCOUNTS}"
        self._prepared: set[str] = set()  # directories
        self._lock = threading.Lock()

    def directory(self, account: str, mailbox: str = "") -> str:
        """The Maildir of the account's mailbox ("" for INBOX, which is the account's own); it may not exist yet."""
        if not _NAME.fullmatch(account):
            # A name with a slash or a leading dot would lead out of accounts/.
            raise ValueError(f"{account!r} is not the name of an account")
        if not mailbox:
            return f"{self._root}/{account}"
        if not _MAILBOX.fullmatch(mailbox):
            raise ValueError(f"{mailbox!r} is not the name of a mailbox")
        return f"{self._root}/{account}/.{mailbox}"

    def prepare(self, *accounts: str, mailbox: str = "") -> None:
        """Make the accounts' tmp, new and cur where they are missing, and those of the mailbox; all are durable then.

        What is there already is synced too: another process may have made it and crashed before it did so, or it was
        brought here by hand (a restored account). One sync an account and mailbox, and two for all.

        An account that fails keeps no other from being prepared; the first failure is raised at the end.
        """
        made = []
        failures = []
        for account in accounts:
            try:
                made += self._make(account, mailbox)
            except StorageError as error:
                failures.append(error)
        if made:
            for parent in (self._root, self._root.rpartition("/")[0]):
                self._disk.sync_directory(parent)
            with self._lock:
                self._prepared.update(made)
        if failures:
            raise failures[0]

    def _make(self, account: str, mailbox: str) -> list[str]:
        """One Maildir, and the mailbox in it, durable up to the account's own name; gives their directories."""
        directories = [self.directory(account)]
        self._make_leaves(directories[0])
        if mailbox:
            directories.append(self._make_inner(account, mailbox))
        for directory in reversed(directories):
            self._disk.sync_directory(directory)
        return directories

    def _make_inner(self, account: str, mailbox: str) -> str:
        """A mailbox's Maildir. Its mark is there before cur/, by which others know a mailbox."""
        directory = self.directory(account, mailbox)
        if not self._disk.exists(f"{directory}/{MARK}"):
            self._disk.make_directories(directory)
            self._disk.append(f"{directory}/{MARK}", b"")
        self._make_leaves(directory)
        return directory

    def _make_leaves(self, directory: str) -> None:
        for leaf in LEAVES:
            if not self._disk.exists(f"{directory}/{leaf}"):
                self._disk.make_directories(f"{directory}/{leaf}")

    def new_directory(self, account: str, mailbox: str = "") -> str:
        """The mailbox's new/, prepared once per process: another one may have made it and crashed before syncing."""
        directory = self.directory(account, mailbox)
        if directory not in self._prepared:
            self.prepare(account, mailbox=mailbox)
        return f"{directory}/new"

    def mailboxes(self, account: str) -> list[str]:
        """The directories of all the account's mailboxes: its Maildir, and those in it that begin with a dot."""
        directory = self.directory(account)
        if not self._disk.exists(directory):
            return []
        inner = [f"{directory}/{name}" for name in sorted(self._disk.names(directory)) if name[0] == "."]
        return [directory, *(path for path in inner if self._disk.exists(f"{path}/cur"))]
