"""A conversation from greeting to end: who is served, what is offered, what is given back, what the log says."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import BansConfig, Config, LimitsConfig
from mailsrv.imap.events import Closed, Command, Connected, Event, Need
from mailsrv.imap.session import ServerSession
from mailsrv.imapd.connection import _ANSWERS, BANNED, TOO_MANY, TOO_MANY_HERE, Conversation
from mailsrv.imapd.house import House, Peer
from mailsrv.store.access import Access
from mailsrv.store.metadata import Metadata
from mailsrv.store.readers import Readers
from mailsrv.system.complaints import Complaints
from mailsrv.system.disk import Disk
from mailsrv.system.tls import TlsInfo
from tests.fakes.clock import FakeClock
from tests.fakes.imap_client import Watch
from tests.fakes.log import FakeLog

TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", "", {"tls-server-end-point": b"E" * 32})


@dataclass
class Services:
    """Everything that a house has and does not come from the disk; alice's password is `secret`."""

    connections: int = 0
    all_connections: int = 1
    sessions: int = 1
    ban: str = ""
    shown: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    scram_ready: bool = True

    def opened(self, client):
        self.connections += 1
        return self.connections

    def closed(self, client):
        self.connections -= 1

    def total(self):
        return self.all_connections

    def sessions_of(self, account):
        return self.sessions

    def count(self, name, number=1):
        self.counts[name] = self.counts.get(name, 0) + number

    def login_failed(self, client):
        return 1

    def enter(self, id, kind, client):
        self.shown.append(f"{id} {kind} {client}")
        return SimpleNamespace(account=self.shown.append, leave=lambda: self.shown.append("left"))

    def banned(self, client):
        return self.ban or None

    def account(self, login):
        found = SimpleNamespace(name="alice", scram="", quota_bytes=5000, quota_messages=0)
        return found if login.startswith("alice") else None

    def check(self, account, password):
        return account is not None and password == "secret"


def make(tmp_path, services=None, peer=None, **limits):
    services = services or Services()
    clock = FakeClock()
    bans = BansConfig(allow=["198.51.100.0/24"])
    config = Config("mx.example", str(tmp_path), limits=LimitsConfig(**limits), bans=bans)
    disk, data_dir = Disk(), str(tmp_path)
    house = House(
        config=config, directory=services, passwords=services, readers=Readers(disk, data_dir, clock, "mx"),
        access=Access(disk, data_dir, clock), metadata=Metadata(disk, data_dir, clock), watch=Watch(),
        throttle=services, bans=services, log=(log := FakeLog()),
        complaints=Complaints(log, clock),
        clock=clock, wait=lambda seconds: None, secret=b"k", tls=True,
    )  # fmt: skip
    return Conversation(peer or Peer("S1", "imap", "192.0.2.1"), house), services, house


def talk_to(conversation: Conversation, *, tls: bool = True):
    """The core in front of a conversation, greeted; gives what says lines to it."""
    core = ServerSession(conversation.limits(), conversation.offer(), tls=tls)
    conversation.connect(core, lambda: None, lambda: None)

    def say(octets: bytes) -> str:
        core.receive_data(octets)
        while not isinstance(event := core.next_event(), Need):
            answer = conversation.answer(event)
            if answer is not None:
                core.answer(answer)
            if isinstance(event, Closed):
                break
        return b"".join(core.data_to_send()).decode()

    return core, say


def test_every_event_has_its_answer() -> None:
    assert set(_ANSWERS) == set(Event.__args__)


def test_a_session_and_its_line(tmp_path) -> None:
    conversation, services, house = make(tmp_path)
    conversation.tls_started(TLS)
    core, say = talk_to(conversation)
    assert say(b"").startswith("* OK [CAPABILITY ")
    assert say(b"a LOGIN alice secret\r\n").startswith("a OK")
    assert (conversation.account, services.shown) == ("alice", ["S1 imap 192.0.2.1", "alice"])
    assert say(b"b SELECT nowhere\r\n").startswith("b NO")
    house.clock.advance(2)
    conversation.close("quit", core.commands)
    assert house.log.named("session") == [{
        "id": "S1", "kind": "imap", "client": "192.0.2.1", "account": "alice", "tls": "TLS1.3 TLS_AES_256_GCM_SHA384",
        "seconds": 2.0, "commands": 2, "messages": 0, "refused": 1, "end": "quit",
    }]  # fmt: skip
    conversation.leave()
    assert (services.connections, services.shown[-1]) == (0, "left")


@pytest.mark.parametrize(
    ("services", "answer"),
    [
        (Services(ban="192.0.2.0"), BANNED),
        (Services(connections=50), TOO_MANY_HERE),
        (Services(all_connections=10_001), TOO_MANY),
    ],
)
def test_who_is_not_served(tmp_path, services, answer) -> None:
    conversation, _, house = make(tmp_path, services)
    assert conversation.answer(Connected()) == answer
    assert services.counts == {"connections_refused": 1}
    allowed, _, _ = make(tmp_path, services, Peer("S1", "imap", "198.51.100.1"))
    assert allowed.answer(Connected()).word.name == "OK"
    early, _, _ = make(tmp_path, services)
    assert not early.admit()
    early.leave()
    assert house.log.named("session") == []


def test_admission_before_tls_counts_once(tmp_path) -> None:
    conversation, services, _ = make(tmp_path)
    assert conversation.admit()
    conversation.answer(Connected())
    assert services.connections == 1


def test_offers(tmp_path) -> None:
    clear, _, _ = make(tmp_path)
    assert (clear.offer().starttls, clear.offer().login, clear.offer().mechanisms) == (True, False, ())
    clear.tls_started(TLS)
    offer = clear.offer()
    assert (offer.starttls, offer.login, offer.mechanisms[0]) == (False, True, "SCRAM-SHA-256-PLUS")
    loopback, _, _ = make(tmp_path, peer=Peer("S1", "imap", "127.0.0.1", without_tls=True))
    assert (loopback.offer().login, loopback.offer().mechanisms) == (True, ("SCRAM-SHA-256", "PLAIN", "LOGIN"))
    _, say = talk_to(loopback, tls=False)
    say(b"a LOGIN alice secret\r\n")
    assert loopback.offer().mechanisms == ()


def test_streamed_events_go_to_append(tmp_path) -> None:
    conversation, _, _ = make(tmp_path, peer=Peer("S1", "imap", "127.0.0.1", without_tls=True))
    core, say = talk_to(conversation, tls=False)
    say(b"a LOGIN alice secret\r\n")
    assert "b OK [APPENDUID " in say(b"b APPEND INBOX {3+}\r\nx\r\n\r\n")
    say(b"c APPEND INBOX {3}\r\n")
    assert conversation._state.upload is not None
    conversation.leave()
    assert conversation._state.upload is None


def test_commands_pass_to_the_table(tmp_path) -> None:
    conversation, _, _ = make(tmp_path)
    core, say = talk_to(conversation, tls=False)
    say(b"")
    core.receive_data(b"a STARTTLS\r\n")
    event = core.next_event()
    assert isinstance(event, Command)
    assert conversation.answer(event).word.name == "OK"
