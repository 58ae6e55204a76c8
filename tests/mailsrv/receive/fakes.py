"""Small stand-ins for the services of a House: each keeps what it was asked, and gives what a test tells it to."""

from dataclasses import dataclass, field, replace

from mailsrv.mail.envelope import Recipient
from mailsrv.config.schema import AccountConfig, Config, LimitsConfig
from mailsrv.directory.accounts import Account, Directory
from mailsrv.receive.connection import Conversation
from mailsrv.receive.house import House, Peer
from mailsrv.smtp.events import Kind
from mailsrv.system.log import Log
from mailsrv.system.scratch import MemoryBudget, Scratch
from tests.fakes.clock import FakeClock


class FakePasswords:
    def __init__(self) -> None:
        self.asked: list[tuple[Account | None, str]] = []
        self.error: Exception | None = None

    def check(self, account: Account | None, password: str) -> bool:
        self.asked.append((account, password))
        if self.error:
            raise self.error
        return account is not None and bool(account.password_hash) and password == f"{account.name}-secret"


@dataclass
class FakeCommitted:
    delivered: tuple[str, ...]
    queued: tuple[Recipient, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


class FakeDelivery:
    """Keeps every message as (envelope, stored octets of a local copy)."""

    def __init__(self) -> None:
        self.kept = []
        self.error: Exception | None = None
        self.failures: dict[str, Exception] = {}

    def commit(self, envelope, octets, return_path) -> FakeCommitted:
        if self.error:
            raise self.error
        self.kept.append((envelope, return_path, stored(octets)))
        local = tuple(one.account for one in envelope.recipients if one.account)
        return FakeCommitted(local, tuple(one for one in envelope.recipients if not one.account))

    def commit_each(self, envelope, octets, return_path) -> dict[str, Exception | None]:
        if self.error:
            raise self.error
        self.kept.append((envelope, return_path, stored(octets)))
        return {one.account: self.failures.get(one.account) for one in envelope.recipients}


def stored(octets) -> bytes:
    """The octets that a delivery would write."""
    message = octets.prefix + octets.scratch.head(octets.scratch.size)[octets.skip :]
    assert len(message) == octets.size
    return message


class FakeQuota:
    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    def room(self, account: str, limit: int, size: int) -> bool:
        return not limit or self.used.get(account, 0) + size <= limit


class FakeSpace:
    def __init__(self) -> None:
        self.free = 1 << 40

    def has(self, size: int) -> bool:
        return size <= self.free


class FakeShown:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.left = False

    def account(self, name: str) -> None:
        self.names.append(name)

    def leave(self) -> None:
        self.left = True


class FakeThrottle:
    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.shown: list[FakeShown] = []

    def opened(self, client: str) -> int:
        self.open[client] = self.open.get(client, 0) + 1
        return self.open[client]

    def closed(self, client: str) -> None:
        self.open[client] -= 1

    def total(self) -> int:
        return sum(self.open.values())

    def login_failed(self, client: str) -> int:
        self.failed[client] = self.failed.get(client, 0) + 1
        return self.failed[client]

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number

    def enter(self, id: str, kind: str, client: str) -> FakeShown:
        self.shown.append(FakeShown())
        return self.shown[-1]


class FakeBans:
    def __init__(self) -> None:
        self.added: list[FakeBan] = []
        self.error: Exception | None = None

    def banned(self, client: str) -> "FakeBan | None":
        return next((one for one in self.added if one.network == client), None)

    def add(self, address: str, seconds: float, reason: str) -> "FakeBan":
        if self.error:
            raise self.error
        self.added.append(FakeBan(address, seconds, reason))
        return self.added[-1]


@dataclass(frozen=True)
class FakeBan:
    network: str
    seconds: float
    reason: str


class Lines(Log):
    """A log that keeps its events as (name, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def write(self, event: str, level: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))

    def of(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in self.events if event == name]


class Records:
    """A decision record that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[dict] = []

    def write(self, record: dict) -> None:
        self.written.append(record)


def make_config(**changes) -> Config:
    """alice and bob at example.org, with aliases of each kind."""
    return Config(
        **{
            "hostname": "mx.example.org",
            "data_dir": "/var/lib/mailsrv",
            "domains": ["example.org"],
            "domain_aliases": {"example.net": "example.org"},
            "accounts": [
                AccountConfig(name, [f"{name}@example.org"], f"hash of {name}") for name in ("alice", "bob")
            ] + [AccountConfig("mute", ["mute@example.org"])],
            "aliases": {
                "postmaster@example.org": ["alice"],
                "team@example.org": ["alice", "bob"],
                "sales@example.org": ["bob"],
                "away@example.org": ["alice", "a@far.example"],
                "gone@example.org": ["b@far.example"],
                **{f"loop{n}@example.org": [f"loop{n + 1}@example.org"] for n in range(12)},
            },
            **changes,
        }
    )


CONFIG = make_config()


def make_house(**changes) -> House:
    """A House of fakes; any of its fields can be given."""
    budget = MemoryBudget(1 << 30)
    clock = changes.get("clock") or FakeClock()
    waits: list[float] = []
    config = changes.get("config") or CONFIG
    parts = {
        "config": config,
        "directory": Directory.from_config(config),
        "passwords": FakePasswords(),
        "delivery": FakeDelivery(),
        "quota": FakeQuota(),
        "space": FakeSpace(),
        "throttle": FakeThrottle(),
        "bans": FakeBans(),
        "log": Lines(),
        "clock": clock,
        "message_id": lambda session, number: f"{session}{number}",
        "scratch": lambda: Scratch(None, "/nowhere", 1 << 26, budget),
        "wait": waits.append,
        "secret": b"s" * 32,
        "tls": True,
        "decisions": Records(),
        **changes,
    }
    house = House(**parts)
    WAITS[id(house)] = waits
    return house


WAITS: dict[int, list[float]] = {}


def waits_of(house: House) -> list[float]:
    """The seconds that the house was asked to wait, in order."""
    return WAITS[id(house)]


def with_limits(**limits) -> Config:
    """The configuration with other limits."""
    return replace(CONFIG, limits=LimitsConfig(**limits))


def make_conversation(house: House | None = None, kind: Kind = Kind.SMTP, **peer) -> Conversation:
    """A conversation with a client at 192.0.2.7, unless said otherwise."""
    parts = {"session_id": "SESSION", "client": "192.0.2.7", "client_port": 4711, "listener": "192.0.2.1:25", **peer}
    return Conversation(Peer(kind=kind, **parts), house or make_house())
