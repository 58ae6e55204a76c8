"""The state of one IMAP session as floor 4 sees it, and its way to the client. Only the session's thread changes it.

Untagged data goes out by `send` and `send_file`; the octets wait in the core until there are enough of them, so that a
FETCH of everything needs no more memory than one of a few messages.

Diagnostics: `send` and `send_file` let pass what the pump raises when the client is gone or does not read; whoever
holds something then lets go of it by `with` or `finally`.
"""

from collections.abc import Callable
from typing import Protocol

from mailsrv.system.openfile import OpenFile
from mailsrv.system.tls import TlsInfo
from mailsrv.imap import situation
from mailsrv.imap.answers import Segment, Status
from mailsrv.imap.numbers import NumberSet
from mailsrv.directory.logins import Logins, Visitor
from mailsrv.imapd.house import House, Peer, Shown
from mailsrv.imapd.library import Library
from mailsrv.imapd.view import View

FLUSH_OCTETS = 1 << 17  # that wait before they are sent
FLUSH_FILES = 64  # and open files


class Core(Protocol):
    """What is used of mailsrv.imap.session.ServerSession."""

    @property
    def state(self) -> situation.State: ...
    @property
    def enabled(self) -> frozenset[str]: ...
    @property
    def utf8(self) -> bool: ...
    def capabilities(self) -> str: ...
    def enable(self, *names: str) -> None: ...
    def deselect(self) -> None: ...
    def end(self, words: Status, /) -> None: ...
    def send(self, octets: bytes, /) -> None: ...
    def send_segment(self, segment: Segment, /) -> None: ...


class Upload(Protocol):
    """What APPEND and REPLACE hold while messages come (mailsrv.imapd.append)."""

    def close(self) -> None:
        """Keep nothing; a second call does nothing."""
        ...


class Notices(Protocol):
    """What NOTIFY wants to be told (mailsrv.imapd.notify); None in its place: news of the selected mailbox, with the
    next command."""

    @property
    def tells_selected(self) -> bool: ...
    @property
    def tells_flags(self) -> bool: ...
    @property
    def delays(self) -> bool: ...
    def look(self, state: "State", /) -> None: ...
    def remember(self, state: "State", /) -> None: ...
    def fetch_new(self, state: "State", uids: NumberSet, /) -> None: ...


class Annotations(Protocol):
    """What ENABLE METADATA wants to be told (mailsrv.imapd.annotations)."""

    def look(self, state: "State", /) -> None: ...
    def remember(self, state: "State", /) -> None: ...


class State:
    """One session.

    `account` is "" before login; `library` its mailboxes; `view` the selected mailbox; `upload` what a running APPEND
    holds; `idling` is true during IDLE, `notices` what NOTIFY wants: both listen for the accounts `watched`.
    `annotations` is what ENABLE METADATA wants. `ring` wakes the session's thread while it waits for its client.
    `shown` is the session as `mailsrv who` shows it; `refused` and `stored` count answers and messages.
    """

    __slots__ = (
        "_files", "_flush", "_waiting", "account", "annotations", "core", "house", "idling", "library", "logins",
        "notices", "peer", "refused", "ring", "shown", "stored", "tls", "upload", "view", "watched",
    )

    def __init__(self, peer: Peer, house: House) -> None:
        self.peer = peer
        self.house = house
        self.tls: TlsInfo | None = peer.tls
        self.account = ""
        self.library: Library | None = None
        self.view: View | None = None
        self.upload: Upload | None = None
        self.idling = False
        self.watched: frozenset[str] = frozenset()
        self.notices: Notices | None = None
        self.annotations: Annotations | None = None
        self.refused = 0
        self.stored = 0
        self.shown: Shown | None = None
        self.logins = Logins(house, Visitor(peer.session_id, peer.kind, peer.client))
        self.core: Core
        self.ring: Callable[[], None] = _stay
        self._flush: Callable[[], None] = _stay
        self._files: list[OpenFile] = []
        self._waiting = 0

    def connect(self, core: Core, flush: Callable[[], None], ring: Callable[[], None]) -> None:
        """The core to send by, what empties it towards the client (it may block, and raise), and what wakes the
        session's thread."""
        self.core = core
        self._flush = flush
        self.ring = ring

    @property
    def rev2(self) -> bool:
        """Whether the client has enabled IMAP4rev2; else it is spoken to as IMAP4rev1 wants."""
        return "IMAP4REV2" in self.core.enabled

    @property
    def mailboxes(self) -> Library:
        """The mailboxes that the account can reach; only after login."""
        assert self.library is not None  # the table of commands lets nothing that needs it come before login
        return self.library

    @property
    def selected(self) -> View:
        """The selected mailbox; only while there is one."""
        assert self.view is not None  # the table of commands lets nothing that needs it come without
        return self.view

    # To the client

    def send(self, octets: bytes) -> None:
        """Send untagged data: whole responses, or what belongs between two segments of one."""
        self.core.send(octets)
        self._waiting += len(octets)
        if self._waiting > FLUSH_OCTETS:
            self.flush()

    def send_file(self, file: OpenFile, offset: int, length: int, last: bool = True) -> None:
        """Send octets of a file as they are. The file is closed when they are sent, unless more of it follows (`last`
        is False): then it must stay open, and the last call closes it."""
        if last:
            self._files.append(file)
        if length:
            self.core.send_segment(Segment(file, offset, length))
        self._waiting += length
        if self._waiting > FLUSH_OCTETS or len(self._files) >= FLUSH_FILES:
            self.flush()

    def flush(self) -> None:
        """Send what waits now: also before something that takes long."""
        self._waiting = 0
        try:
            self._flush()
        finally:
            self.close_files()

    def close_files(self) -> None:
        """Close the files that were sent: only when nothing of them waits any more, or never will be sent."""
        files, self._files = self._files, []
        for file in files:
            file.close()
        self._waiting = 0

    def use_modseqs(self) -> None:
        """The client has shown that it knows CONDSTORE: from now on it is told modseqs, first of all the selected
        mailbox's highest (RFC 7162 section 3.1.2)."""
        if "CONDSTORE" not in self.core.enabled:
            self.core.enable("CONDSTORE")
            if self.view is not None:
                self.send(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % self.view.modseq)

    def show(self, account: str) -> None:
        """Show in `mailsrv who` whose session this is."""
        if self.shown is not None:
            self.shown.account(account)

    # Its end

    def deselect(self) -> None:
        """No mailbox is selected any more; the core is told elsewhere, where it does not know by itself."""
        self.view = None

    def drop(self) -> None:
        """Let go of everything that the session holds."""
        self.deselect()
        self.close_files()
        upload, self.upload = self.upload, None
        if upload is not None:
            upload.close()


def _stay() -> None:
    """Before there is a connection nothing is flushed and nobody woken."""
