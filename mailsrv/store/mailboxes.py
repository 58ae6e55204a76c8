"""The file `mailboxes` of an account: the truth about which directory is which mailbox (mailsrv-store(5), MAILBOXES).

A small text file, written anew durably at each change, under a lock between processes. A directory keeps its name for
ever, so that RENAME changes lines and nothing else. A directory that lies in the Maildir without a line (delivery has
made Junk, another program anything) becomes a mailbox when it is seen; a line whose directory is gone is dropped, or
stays as a name that is subscribed. Messages and the index are not known here.

Diagnostics: StorageError when the disk refuses or the file is damaged; its text has file, line and what to do.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mailsrv.errors import StorageError, StorageFull
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing, Stamp
from mailsrv.store.layout import Layout, name_of
from mailsrv.store.values import INBOX, MailboxInfo

YOUNG_SECONDS = 2.0  # a directory that changed more recently may have changed again without another time

_HEAD = "mailboxes 1 "
_NONE = "-"
_SUBSCRIBED = "s"
_LIMIT = 16 << 20
# What a directory that others have made is for, by its name: what delivery makes, and what mail programs do.
_USES = {
    "Archive": "\\Archive", "Drafts": "\\Drafts", "Junk": "\\Junk", "Sent": "\\Sent", "Trash": "\\Trash",
}  # fmt: skip


_Stamps = tuple[Stamp | None, Stamp | None]  # of the file and of the account's directory


@dataclass(slots=True)
class Listing:
    """What the file says. `last` is the highest UIDVALIDITY that any mailbox of the account ever had."""

    last: int = 0
    lines: list[MailboxInfo] = field(default_factory=list)
    written: bytes = field(default=b"", compare=False)  # what the file has

    def find(self, name: str) -> MailboxInfo | None:
        """The line of a name."""
        return next((line for line in self.lines if line.name == name), None)

    def put(self, line: MailboxInfo) -> None:
        """Add a line, in place of that of the same name."""
        self.lines = [other for other in self.lines if other.name != line.name] + [line]

    def new_uidvalidity(self, now: float) -> int:
        """Higher than any before, and from the clock, so that one that is forgotten with the file does not come again
        (RFC 9051 section 2.3.1.1)."""
        self.last = max(self.last + 1, int(now) & 0xFFFFFFFF)
        return self.last


def new_mailboxid() -> str:
    """An object id (RFC 8474 section 4) for a new mailbox."""
    return f"F{entropy.octets(10).hex()}"


class Mailboxes:
    """The mailboxes of one account by name; threads may share it."""

    def __init__(self, disk: Disk, clock: Clock, layout: Layout) -> None:
        self._disk = disk
        self._clock = clock
        self._layout = layout
        self._lock = threading.Lock()
        self._seen: _Stamps | None = None
        self._last: _Stamps | None = None  # the same, of the last look, also where it may change once more
        self._known: tuple[MailboxInfo, ...] = ()
        self._there: dict[str, MailboxInfo] = {}

    def load(self) -> tuple[MailboxInfo, ...]:
        """Every line, INBOX first, then by name. Two stats while nothing changes."""
        stamps = self._stamps()
        with self._lock:
            if self._seen is not None and self._seen == stamps:
                return self._known
        listing = self._read()
        if self._reconcile(listing):
            try:
                with self.change() as listing:
                    pass
            except StorageFull:
                # Directories that others have made wait until their names can be kept.
                listing = self._read()
                if listing.find(INBOX) is None:
                    raise
        known = _sort(listing.lines)
        with self._lock:
            self._known = known
            self._there = {line.name: line for line in known if line.exists}
            self._last = stamps
            self._seen = None if self._is_young(stamps) else stamps
        return known

    def find(self, name: str) -> MailboxInfo | None:
        """The line of a mailbox. What was there at the last look is found at once, however young the account's
        directory is: who appends many messages does not read it for each."""
        stamps = self._stamps()
        with self._lock:
            line = self._there.get(name)
            if line is not None and self._last == stamps and (self._seen == stamps or self._is_young(stamps)):
                return line
        return next((line for line in self.load() if line.name == name and line.exists), None)

    def _is_young(self, stamps: _Stamps) -> bool:
        """Whether directories may come and go without another time. What we write ourselves comes under a new inode, so
        that the file's own time need not be old."""
        return stamps[1] is None or self._clock.now() - stamps[1].changed / 1e9 < YOUNG_SECONDS

    @contextmanager
    def change(self) -> Iterator[Listing]:
        """The listing as it is, alone: what the block has changed in it is durable when the block ends. Nothing is
        written when it raises."""
        if not self._disk.exists(self._layout.root):
            raise Missing(f"{self._layout.root}: there is no such directory")
        with self._disk.lock(self._layout.mailboxes_lock):
            listing = self._read()
            self._reconcile(listing)
            yield listing
            self.save(listing)

    def save(self, listing: Listing) -> None:
        """Make durable what a block of `change` has changed so far."""
        octets = format_listing(listing)
        if octets != listing.written:
            self._disk.replace(self._layout.mailboxes, octets)
            listing.written = octets
        with self._lock:
            self._seen = self._last = None

    def set_aside(self) -> str:
        """Move a file that cannot be read out of the way, so that the next look makes it anew; gives its new name."""
        target = f"{self._layout.mailboxes}.damaged"
        with self._disk.lock(self._layout.mailboxes_lock):
            self._disk.unlink(target, missing_ok=True)
            self._disk.rename(self._layout.mailboxes, target.rpartition("/")[2])
            self._disk.sync_directory(self._layout.root)
            with self._lock:
                self._seen = self._last = None
        return target

    def _stamps(self) -> _Stamps:
        return self._disk.stamp(self._layout.mailboxes), self._disk.stamp(self._layout.root)

    def _read(self) -> Listing:
        try:
            octets = self._disk.read(self._layout.mailboxes, _LIMIT)
        except Missing:
            return Listing()
        try:
            listing = parse_listing(octets)
            listing.written = octets
            return listing
        except ValueError as error:
            raise StorageError(
                f"{self._layout.mailboxes}:{error}; correct it, or let `mailsrv verify --repair` make it anew"
            ) from error

    def _reconcile(self, listing: Listing) -> bool:
        """Bring the lines in step with the directories; whether that changed something."""
        names = {name for name in self._disk.names(self._layout.root) if name[0] == "." and name.isprintable()}
        changed = False
        kept = []
        for line in listing.lines:
            if line.directory in names or line.directory == "." or not line.exists:
                kept.append(line)
                continue
            changed = True
            if line.subscribed:
                kept.append(MailboxInfo(line.name, exists=False, subscribed=True))
        listing.lines = kept
        if listing.find(INBOX) is None:
            changed = True
            listing.put(MailboxInfo(INBOX, subscribed=True, mailboxid=new_mailboxid(), directory="."))
        known = {line.directory for line in kept}
        for directory in sorted(names - known):
            if self._disk.exists(f"{self._layout.root}/{directory}/cur"):
                changed = True
                self._adopt(listing, directory)
        return changed

    def _adopt(self, listing: Listing, directory: str) -> None:
        """A line for a directory that somebody else has made. Subscribed, so that it is seen."""
        name = name_of(directory, {line.name for line in listing.lines if line.exists})
        use = _USES.get(name, "")
        if any(line.special_use == use for line in listing.lines):
            use = ""
        listing.put(
            MailboxInfo(name, subscribed=True, special_use=use, mailboxid=new_mailboxid(), directory=directory)
        )


def parse_listing(octets: bytes) -> Listing:
    """Read the file; ValueError with `line: what is wrong`."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"1: {error}") from error
    lines = text.split("\n")
    if lines.pop() or not lines or not lines[0].startswith(_HEAD) or not lines[0][len(_HEAD) :].isdecimal():
        raise ValueError(f"1: the first line is not `{_HEAD}` and a number, or the last one has no end")
    listing = Listing(int(lines[0][len(_HEAD) :]))
    names = set()
    directories = set()
    for number, line in enumerate(lines[1:], 2):
        parts = line.split("\t")
        if len(parts) != 6 or not parts[1].isdecimal() or parts[2] not in (_SUBSCRIBED, _NONE):
            raise ValueError(f"{number}: not directory, UIDVALIDITY, s or -, use, id and name with tabs between")
        directory, uidvalidity, subscribed, use, mailboxid, name = parts
        exists = directory != _NONE
        if name in names or exists and directory in directories or not name or "/" in directory:
            raise ValueError(f"{number}: the name or the directory stands in an earlier line, or is none")
        names.add(name)
        directories.add(directory)
        listing.lines.append(
            MailboxInfo(
                name,
                exists,
                subscribed == _SUBSCRIBED,
                "" if use == _NONE else use,
                "" if mailboxid == _NONE else mailboxid,
                directory if exists else "",
                int(uidvalidity),
            )
        )
        listing.last = max(listing.last, int(uidvalidity))
    return listing


def format_listing(listing: Listing) -> bytes:
    """What `parse_listing` reads."""
    lines = [f"{_HEAD}{listing.last}"]
    for line in _sort(listing.lines):
        parts = (
            line.directory or _NONE,
            str(line.uidvalidity),
            _SUBSCRIBED if line.subscribed else _NONE,
            line.special_use or _NONE,
            line.mailboxid or _NONE,
            line.name,
        )
        lines.append("\t".join(parts))
    return "\n".join([*lines, ""]).encode("utf-8")


def _sort(lines: list[MailboxInfo]) -> tuple[MailboxInfo, ...]:
    return tuple(sorted(lines, key=lambda line: (line.name != INBOX, line.name)))


def renamed(line: MailboxInfo, old: str, new: str) -> MailboxInfo:
    """A line under another name: of the mailbox `old`, or of one below it."""
    return replace(line, name=new + line.name[len(old) :])
