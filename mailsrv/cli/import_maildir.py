"""Importing from a Maildir: of mailsrv, Dovecot, Courier and others, with the mailboxes below it.

Mailboxes are its directories in the form of Maildir++ (`.Sent.2024`) or as plain directories (`Sent/2024`). Flags are
in the names of files, keywords as Dovecot keeps them (dovecot-keywords), the internal date is a file's time. A message
is known again by its base name, so a Maildir that was copied with its names (and read under the same path) is the same
source. Symbolic links to messages are not followed: who owns the Maildir may not be who imports it. Nothing is changed.

Diagnostics: Refused for a directory that is no Maildir; OSError when it cannot be read.
"""

import os
import stat
from collections.abc import Container, Iterator

from mailsrv.errors import GrammarError, Refused
from mailsrv.imap import utf7
from mailsrv.store.message import FLAGS_MARK, LETTERS, base_of
from mailsrv.store.values import INBOX, SYSTEM_FLAGS
from mailsrv.cli.import_source import Item, Origin, Unreadable, clean_name, distinct, use_of

_LEAVES = ("cur", "new")
_DOT = "&AC4-"  # a dot within a level, as mailsrv-store(5) has it
_PIECE = 1 << 20
_DEEPEST = 32
_NAMES = {letter: name for letter, word in LETTERS.items() for name, mask in SYSTEM_FLAGS.items() if mask == word}
_MAX_LIST = 4 << 20  # octets of dovecot-keywords and subscriptions


class MaildirSource:
    """The Maildir at `path`."""

    kind = "maildir"

    def __init__(self, path: str) -> None:
        self._root = os.path.realpath(path)
        if not os.path.isdir(self._root):
            raise Refused(f"{path}: there is no such directory, or this user may not see it")
        self.identity = self._root

    def mailboxes(self) -> list[Origin]:
        """See Source."""
        subscribed = self._subscribed()
        found = []
        for path, levels in self._walk(self._root, 0):
            name = clean_name(levels) or INBOX
            wanted = subscribed is None or name == INBOX or name in subscribed
            count = sum(len(os.listdir(f"{path}/{leaf}")) for leaf in _LEAVES)
            found.append(Origin(name, path, use_of(name), wanted, count))
        if not found:
            raise Refused(f"{self._root}: neither it nor anything in it has the directories cur and new")
        return distinct(found)

    def items(self, origin: Origin, known: Container[str]) -> Iterator[Item]:
        """See Source. The oldest first, so that UIDs ascend with time."""
        keywords = self._keywords(origin.key)
        files = []
        for leaf in _LEAVES:
            with os.scandir(f"{origin.key}/{leaf}") as entries:
                for entry in entries:
                    if entry.name[0] != ".":
                        files.append((int(entry.stat(follow_symlinks=False).st_mtime), entry.name, leaf))
        files.sort()
        for received, name, leaf in files:
            key = base_of(os.fsencode(name).decode("utf-8", "replace")).replace("\t", " ").replace("\n", " ")
            path = f"{origin.key}/{leaf}/{name}"
            flags = _flags(name, keywords)
            yield Item(key, f"{leaf}/{name}", flags, received, None if key in known else read_file(path))

    def close(self) -> None:
        """See Source."""

    def _walk(self, path: str, depth: int) -> Iterator[tuple[str, list[str]]]:
        """Every directory with cur and new, and the levels of its name from `path` on."""
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        if set(_LEAVES) <= set(names):
            yield path, []
        for name in names:
            if name in (*_LEAVES, "tmp") or depth >= _DEEPEST or name.startswith("removed."):
                continue
            if name[0] == "." and name.strip("."):
                if all(os.path.isdir(f"{path}/{name}/{leaf}") for leaf in _LEAVES):
                    yield f"{path}/{name}", [_level(part) for part in name[1:].split(".")]
            elif name[0] != ".":
                for below, levels in self._walk(f"{path}/{name}", depth + 1):
                    yield below, [_level(name), *levels]

    def _subscribed(self) -> set[str] | None:
        """The names in Dovecot's or Courier's list of subscriptions; None when there is none."""
        for file in ("subscriptions", "courierimapsubscribed"):
            lines = _read_lines(f"{self._root}/{file}")
            if lines:
                # Version 2 has levels parted by tabs below its first lines; before, a dot or a slash parts them.
                parts = (line.removeprefix("INBOX.").replace("\t", "/").replace(".", "/").split("/") for line in lines)
                return {clean_name(_level(level) for level in levels) for levels in parts}
        return None

    def _keywords(self, path: str) -> dict[str, str]:
        """Dovecot's letters for keywords: a for number 0."""
        found = {}
        for line in _read_lines(f"{path}/dovecot-keywords"):
            number, _, name = line.partition(" ")
            if number.isdecimal() and len(number) <= 2 and int(number) < 26:
                found[chr(ord("a") + int(number))] = name
        return found


def read_file(path: str) -> Iterator[bytes]:
    """The octets of a file in pieces; Unreadable for anything that is no plain file or cannot be read."""
    try:
        # Not blocking: what lies there may be a pipe that nobody writes to.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unreadable("is no plain file")
            while piece := os.read(fd, _PIECE):
                yield piece
        finally:
            os.close(fd)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def _flags(name: str, keywords: dict[str, str]) -> frozenset[str]:
    letters = name.partition(FLAGS_MARK)[2].partition(",")[0]
    names = {_NAMES.get(letter) or keywords.get(letter, "") for letter in letters}
    return frozenset(names - {""}) | ({"$Forwarded"} if "P" in letters else frozenset())


def _level(part: str) -> str:
    """One level of a directory's name: modified UTF-7, or as it stands."""
    try:
        return ".".join(utf7.decode(piece.encode()) for piece in part.split(_DOT))
    except (GrammarError, UnicodeEncodeError):
        return part


def _read_lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_LIST).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
