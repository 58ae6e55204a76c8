"""The queue's runner in this process, put together as the real one is, between fake MX hosts and a fake DNS; the clock
stands still until a test moves it."""

import quopri
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailsrv.config.schema import AccountConfig, Config, QueueConfig
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.serve import queue as serve_queue
from mailsrv.serve.queue import Place, build_runner
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.system.wake import Doorbell, Waker
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.fakes.mx import DEADLINE, Behaviour, FakeMx

MESSAGE = (
    b"From: ada@sender.example\r\nTo: them\r\nSubject: Lunch\r\nMessage-ID: <1@sender.example>\r\n\r\nShall we?\r\n"
)
NOBODY = "127.0.0.9"  # where nothing listens

ZONE = f"""
one.example MX 10 mx1.one.example
two.example MX 10 mx1.one.example
two.example MX 20 mx2.two.example
three.example MX 10 mx1.one.example
three.example MX 20 mx2.two.example
three.example MX 30 mx3.three.example
other.example MX 10 mx2.two.example
backed.example MX 10 dead.example
backed.example MX 20 mx2.two.example
dead.example MX 10 dead.example
dead.example A {NOBODY}
null.example MX 0 .
implicit.example A 127.0.0.1
astray.example MX 10 nowhere.example
dangling.example MX 10 nowhere.example
dangling.example MX 20 mx2.two.example
ours.example MX 10 mail.sender.example
relayed.example MX 10 mx1.one.example
relayed.example MX 20 mail.sender.example
mail.sender.example A 127.0.0.8
mx1.one.example A 127.0.0.1
mx2.two.example A 127.0.0.2
mx3.three.example A 127.0.0.3
six.example MX 10 mx.six.example
mx.six.example A {NOBODY}
mx.six.example AAAA ::1
FAIL fails.example
bücher.example MX 10 mx1.one.example
""".replace("bücher", "xn--bcher-kva")


def start_hosts(behaviours: dict[int, tuple[Behaviour, ...]], certificate: tuple[str, str] | None) -> dict[int, FakeMx]:
    """A fake MX at 127.0.0.N for each N, all on one port; 6 is ::1. Raises OSError where that does not exist."""
    if 6 in behaviours:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    for _attempt in range(20):
        hosts: dict[int, FakeMx] = {}
        port = 0
        try:
            for number, course in behaviours.items():
                address = "::1" if number == 6 else f"127.0.0.{number}"
                hosts[number] = FakeMx(*course, address=address, port=port, certificate=certificate)
                port = hosts[number].port
        except OSError:  # somebody else has the port at one of the addresses
            for host in hosts.values():
                host.close()
        else:
            return hosts
    raise AssertionError("no port is free at all addresses")


@dataclass(frozen=True)
class Told:
    """One recipient in a report."""

    recipient: str
    action: str
    status: str
    diagnostic: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Letter:
    """A message in the sender's mailbox: a report, taken apart."""

    kind: str
    words: str
    about: dict[str, str]
    told: tuple[Told, ...]
    original: str
    whole: EmailMessage


class House:
    """One server's queue. Close it."""

    def __init__(
        self,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        hosts: dict[int, FakeMx],
        *,
        zone: str = ZONE,
        queue: dict[str, object] | None = None,
        **config: object,
    ) -> None:
        port = next(iter(hosts.values())).port if hosts else 1
        settings = {"port": port, "idle_seconds": 0, "jitter_percent": 0, **(queue or {})}
        self.config = Config(
            hostname="mail.sender.example",
            data_dir=str(directory / "data"),
            domains=["sender.example"],
            accounts=[AccountConfig("ada", ["ada@sender.example", "postmaster@sender.example"])],
            queue=QueueConfig(**settings),  # type: ignore[arg-type]
            **config,  # type: ignore[arg-type]
        )
        # After the real time, which the kernel writes on the files of reports: they are due at once.
        self.clock = FakeClock(2_000_000_000.0)
        self.log = FakeLog()
        self.disk = Disk()
        self.layout: Layout = prepare(self.disk, self.config.data_dir)
        self.resolver = FakeResolver(zone)
        monkeypatch.setattr(serve_queue, "DnsResolver", lambda *_arguments, **_options: self.resolver)
        self.doorbell = Doorbell(self.layout.wake)
        self.waker = Waker()
        self.runner = build_runner(Place(self.config, self.log, self.clock, 1), self.doorbell)  # type: ignore[arg-type]
        self.count = 0

    def put(
        self,
        *recipients: str | Recipient,
        sender: str = "ada@sender.example",
        body: bytes = MESSAGE,
        dsn: DsnRequest | None = None,
        account: str = "ada",
        size: int | None = None,
        **parameters: object,
    ) -> str:
        """Queue a message; gives its ID. `size`: what its envelope says of it, if that is not the truth."""
        self.count += 1
        identifier = QueueIds(FakeClock(self.clock.now() + self.count / 1000), 7).new() + "0"
        made = [one if isinstance(one, Recipient) else Recipient(parse_address(one)) for one in recipients]
        envelope = Envelope(
            identifier,
            self.clock.now(),
            parse_address(sender) if sender else None,
            tuple(replace(one, dsn=dsn) if dsn else one for one in made),
            MailParameters(**parameters),  # type: ignore[arg-type]
            account=account,
            client="127.0.0.1",
            size=len(body) if size is None else size,
        )
        with Scratch(self.disk, "", 0, MemoryBudget(0)) as nothing:
            Spool(self.disk, self.config.data_dir, self.waker).enqueue(envelope, Octets(body, nothing))
        self.disk.set_time(f"{self.layout.queue}/{identifier}", self.clock.now())
        return identifier

    def run(self) -> None:
        """Do everything that can be done now."""
        poll = select.poll()
        poll.register(self.runner._ended_bell, select.POLLIN)
        while True:
            self.runner.step()
            if self.runner.active():
                assert poll.poll(DEADLINE * 1000), "no delivery ends"
            elif not self.doorbell.wait(0):
                return

    def run_until(self, look: Callable[[], bool]) -> None:
        """Do what can be done until something is true, while other deliveries may go on."""
        poll = select.poll()
        poll.register(self.runner._ended_bell, select.POLLIN)
        end = time.monotonic() + DEADLINE
        while not look():
            assert time.monotonic() < end, self.attempts()
            self.runner.step()
            poll.poll(20)

    def later(self, seconds: float) -> None:
        """Let time pass, then run."""
        self.clock.advance(seconds)
        self.run()

    def names(self, place: str) -> set[str]:
        return set(self.disk.names(f"{self.layout.data_dir}/spool/{place}"))

    def waiting(self) -> dict[str, float]:
        """Who is in the queue, and in how many seconds it is tried again."""
        queue = Path(self.layout.queue)
        return {path.name: round(path.stat().st_mtime - self.clock.now(), 3) for path in queue.iterdir()}

    def attempts(self) -> list[tuple[str, str, str, str]]:
        """Every attempt in the log for recipients elsewhere: who, outcome, status code, why; in this order."""
        return sorted(
            (one["to"], one["status"], one.get("dsn", ""), one.get("reason", ""))
            for one in self.log.named("attempt")
            if not one.get("account") and not one["to"].endswith("@sender.example")
        )

    def letters(self) -> list[Letter]:
        """The reports in the sender's mailbox, oldest first."""
        box = Path(self.config.data_dir, "accounts", "ada", "new")
        if not box.exists():
            return []
        found = sorted(box.iterdir(), key=lambda path: path.name)
        return [take_apart(path.read_bytes()) for path in found]

    def close(self) -> None:
        self.runner.stop()
        self.doorbell.close()
        self.waker.close()


def take_apart(octets: bytes) -> Letter:
    """Read a report."""
    whole = message_from_bytes(octets, policy=policy.default)
    assert isinstance(whole, EmailMessage)
    assert whole.get_content_type() == "multipart/report", octets.decode("utf-8", "replace")
    words, status, original = whole.iter_parts()
    about, *recipients = _read_blocks(status)
    told = tuple(
        Told(
            _value(one["Final-Recipient"]),
            one["Action"],
            one["Status"],
            _value(one.get("Diagnostic-Code", "")),
            one,
        )
        for one in recipients
    )
    text = original.get_payload()
    shown = text if isinstance(text, str) else "".join(str(part) for part in text)
    return Letter(told[0].action, words.get_content(), about, told, shown, whole)


def _read_blocks(status: EmailMessage) -> list[dict[str, str]]:
    """The groups of fields; the parser knows only those in ASCII (RFC 3464), not those of RFC 6533."""
    if status.get_content_type() == "message/delivery-status":
        return [dict(block.items()) for block in status.iter_parts()]
    octets = quopri.decodestring(status.as_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[2])
    groups = octets.strip().split(b"\n\n")
    return [dict(message_from_bytes(group, policy=policy.SMTPUTF8).items()) for group in groups]


def _value(text: str) -> str:
    return text.partition(";")[2].strip()


class Town:
    """Makes hosts and a house among them, and closes them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.monkeypatch = monkeypatch
        self.hosts: dict[int, FakeMx] = {}
        self.house: House | None = None

    def build(
        self, hosts: dict[int, tuple[Behaviour, ...]], certificate: tuple[str, str] | None = None, **options: object
    ) -> House:
        self.hosts = start_hosts(hosts, certificate)
        self.house = House(self.directory, self.monkeypatch, self.hosts, **options)  # type: ignore[arg-type]
        return self.house

    def took(self) -> dict[int, list[list[str]]]:
        return {
            number: [one.recipients for one in host.accepted] for number, host in self.hosts.items() if host.accepted
        }

    def close(self) -> None:
        if self.house is not None:
            self.house.close()
        for host in self.hosts.values():
            host.close()
