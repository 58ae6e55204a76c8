"""mbsync in a directory of its own: its configuration, its Maildirs, and what lies in them.

Diagnostics: a run that does not end with 0 fails the test with what it said, where `check` is wanted.
"""

import os
import subprocess
from collections import Counter
from pathlib import Path

from tests.peers.imap_house import PASSWORD, digest

CONFIG = """\
FSync no
CopyArrivalDate yes

IMAPAccount far
Host localhost
Port {port}
User {account}
Pass "{password}"
AuthMechs {mechanism}
SSLType {tls}
CertificateFile {certificate}
Timeout 60

IMAPStore far
Account far

MaildirStore near
Path {root}/mail/
Inbox {root}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""
TLS = {"imaps": "IMAPS", "imap": "STARTTLS", "clear": "None"}
LETTERS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "D": "\\Draft"}


class Mbsync:
    """One program and one account; `mail` holds the local mailboxes, each a Maildir."""

    def __init__(self, program, root: Path, house, account, way=("clear", "LOGIN")) -> None:
        kind, mechanism = way
        root.mkdir(parents=True, exist_ok=True)
        self.mail = root / "mail"
        self.mail.mkdir()
        self._config = root / "mbsyncrc"
        self._program = program
        self._house, self._root = house, root
        self._config.write_text(
            CONFIG.format(
                root=root, account=account, password=PASSWORD, port=house.ports[kind], mechanism=mechanism,
                tls=TLS[kind], certificate=house.certificate,
            )
        )  # fmt: skip

    def start(self, *options) -> subprocess.Popen:
        """A run that goes on; its output is kept for `communicate`."""
        return subprocess.Popen(
            [self._program, "--config", str(self._config), *options, "all"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(self._root), "LC_ALL": "C"},
        )

    def run(self, *options) -> str:
        """A whole run, which must end well; what it said."""
        process = self.start(*options)
        try:
            said = process.communicate(timeout=300)[0].decode(errors="replace")
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, f"mbsync ended with {process.returncode}\n{said}\n{self._house.said()}"
        return said

    def maildir(self, mailbox="INBOX") -> Path:
        """A local mailbox, made if need be."""
        for leaf in ("cur", "new", "tmp"):
            (self.mail / mailbox / leaf).mkdir(parents=True, exist_ok=True)
        return self.mail / mailbox

    def put(self, name, octets, flags="", mailbox="INBOX") -> Path:
        """A message in a local mailbox; its lines end with LF, as Maildir programs write them."""
        leaf = f"cur/{name}:2,{flags}" if flags else f"new/{name}"
        path = self.maildir(mailbox) / leaf
        path.write_bytes(octets)
        return path

    def files(self, mailbox="INBOX") -> list[Path]:
        """The messages of a local mailbox, sorted."""
        return sorted(path for leaf in ("new", "cur") for path in (self.mail / mailbox / leaf).glob("*"))

    def contents(self, mailbox="INBOX") -> Counter:
        """How often each message, as (digest, flags), is in a local mailbox."""
        found: Counter = Counter()
        for path in self.files(mailbox):
            letters = path.name.partition(":2,")[2]
            flags = tuple(sorted(LETTERS[letter] for letter in letters if letter in LETTERS))
            found[digest(path.read_bytes()), flags] += 1
        return found

    def find(self, octets, mailbox="INBOX") -> Path:
        """The one local file of a message."""
        wanted = digest(octets)
        (path,) = [path for path in self.files(mailbox) if digest(path.read_bytes()) == wanted]
        return path

    def flag(self, octets, letters, mailbox="INBOX") -> None:
        """Give a local message these flags, as a mail program does it."""
        path = self.find(octets, mailbox)
        path.rename(path.parent.parent / "cur" / (path.name.partition(":2,")[0] + ":2," + letters))

    def tree(self) -> list[str]:
        """Every local message by name and every word that mbsync keeps about the state, for comparison."""
        paths = sorted(self.mail.rglob("*"))
        state = [path.read_text() for path in paths if path.name == ".mbsyncstate"]
        return [str(path) for path in paths] + state
