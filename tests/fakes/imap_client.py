"""Clients of one account's IMAP sessions, without sockets: the real core and the real policy over a real store.

A Client sends octets and gets the lines that it would hear; everything happens within the call.
"""

from types import SimpleNamespace

from mailsrv.imap.answers import Segment, Status, Word
from mailsrv.imap.events import Connected, Need
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer
from mailsrv.imapd.connection import Conversation
from mailsrv.imapd.house import Peer
from mailsrv.imapd.library import Library
from mailsrv.store.access import Access
from mailsrv.store.metadata import Metadata
from mailsrv.store.readers import Readers
from mailsrv.store.values import Usage
from mailsrv.system.complaints import Complaints
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog


def message(subject="hello", body="text", **fields):
    """A small message; `fields` are further ones, with _ for -."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Subject": subject, **fields}.items()]
    return "\r\n".join([*lines, "", body, ""]).encode()


# Carol has little room: 4 KiB, three messages. Admin may set quotas.
QUOTAS = {"alice": Usage(), "bob": Usage(), "carol": Usage(4096, 3), "admin": Usage()}
ACCOUNTS = {
    name: SimpleNamespace(
        name=name, quota_bytes=quota.octets, quota_messages=quota.messages, sets_quotas=name == "admin"
    )
    for name, quota in QUOTAS.items()
}


class Watch:
    """Nobody rings but the test."""

    def enter(self, account, ring):
        """Nothing to be kept."""

    def leave(self, account, ring):
        """Nothing to be given back."""


class House:
    """What all sessions of a process share; a second House on the same path is a second process."""

    def __init__(self, path, limits=None, clock=None, **bounds):
        self.path = path
        self.clock = clock or FakeClock(1_700_000_000.0)
        self.log = FakeLog()
        self.bounds = Limits(**bounds)
        self.limits = limits or Usage()
        complaints = Complaints(self.log, self.clock)
        self.readers = Readers(Disk(), str(path), self.clock, "host.example")
        self.readers.complain = complaints.trouble
        self.access = Access(Disk(), str(path), self.clock)
        directory = SimpleNamespace(account=lambda login: ACCOUNTS.get(login.removesuffix("@example.org")))
        self.services = SimpleNamespace(
            clock=self.clock,
            log=self.log,
            complaints=complaints,
            watch=Watch(),
            tls=False,
            config=SimpleNamespace(hostname="host.example"),
            directory=directory,
            readers=self.readers,
            access=self.access,
            metadata=Metadata(Disk(), str(path), self.clock),
        )
        self.count = 0

    def reader(self, account="alice"):
        return self.readers.reader(account, QUOTAS.get(account) if self.limits == Usage() else self.limits)

    def library(self, account="alice"):
        return Library(self.reader(account), lambda name: self.reader(name) if name in ACCOUNTS else None, self.access)

    def box(self, name="INBOX", account="alice"):
        return self.reader(account).open(name)

    def client(self, account="alice", selected="", enabled="", examine=False):
        """A client that is logged in; what it hears while selecting is not kept."""
        client = Client(self, account)
        if enabled:
            client.do(f"ENABLE {enabled}")
        if selected:
            client.do(f"{'EXAMINE' if examine else 'SELECT'} {selected}")
        return client

    def deliver(self, *octets, mailbox="INBOX", account="alice"):
        """Drop messages into new/, as delivery does."""
        directory = self.box(mailbox, account)._path + "/new"
        for message_octets in octets:
            self.count += 1
            name = f"{1_600_000_000 + self.count}.M{self.count:06}.host.example,S={len(message_octets)}"
            with open(f"{directory}/{name}", "wb") as file:
                file.write(message_octets)
        self.box(mailbox, account)

    def flags(self, mailbox="INBOX", account="alice"):
        """Flag words of all messages by UID."""
        return dict(self.box(mailbox, account).rows(None, ("uid", "flags")))

    def octets(self, uid, mailbox="INBOX"):
        with self.box(mailbox).open_file(uid) as file:
            return file.read_at(0, file.size)


class Client:
    """One session."""

    def __init__(self, house, account="alice"):
        self.house = house
        self.core = ServerSession(house.bounds, Offer(compress=True))
        self.policy = Conversation(Peer("S1", "imaps", "192.0.2.1"), house.services)
        self.policy.connect(self.core, self._flush, lambda: None)
        self.state = self.policy._state
        self.state.account = account
        self.state.library = house.library(account)
        self.heard = b""
        self.chunks = []
        self.tag = 0
        assert isinstance(self.core.next_event(), Connected)
        self.core.answer(Status(Word.PREAUTH, "hello"))
        self._flush()
        self.heard = b""

    def send(self, octets, step=0):
        """Send octets, at once or `step` at a time; gives what is heard meanwhile."""
        self.heard = b""
        for at in range(0, len(octets), step or len(octets) or 1):
            self.core.receive_data(octets[at : at + step] if step else octets)
            self._pump()
        return self.heard

    def do(self, command):
        """Send one command with a tag of its own and no more; gives the lines heard, without CRLF. A str may have
        literals ({5+}CRLF...); bytes too."""
        self.tag += 1
        octets = command.encode() if isinstance(command, str) else command
        heard = self.send(b"t%d %b\r\n" % (self.tag, octets)).decode()
        return [line.removeprefix(f"t{self.tag} ") for line in heard.split("\r\n")[:-1]]

    def append(self, octets, mailbox="INBOX", arguments=""):
        return self.do(b"APPEND %b %b{%d+}\r\n%b" % (mailbox.encode(), arguments.encode(), len(octets), octets))

    def _pump(self):
        while not isinstance(event := self.core.next_event(), Need):
            answer = self.policy.answer(event)
            if answer is not None:
                self.core.answer(answer)
            if type(event).__name__ == "Closed":
                break
        self._flush()

    def _flush(self):
        for piece in self.core.data_to_send():
            if isinstance(piece, Segment):
                piece = piece.source.read_at(piece.offset, piece.length)
            self.heard += piece
        self.state.close_files()
