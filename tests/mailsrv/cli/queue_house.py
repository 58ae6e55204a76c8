"""A data_dir with a queue, its configuration, and the commands run against it as the user of the tests."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsrv.cli import queue_place
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.serve.privileges import Identity
from mailsrv.spool.claim import Claims
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

NOW = 1_800_000_000.0
MESSAGE = b"From: ada@example.com\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHi Bob\r\n"


@dataclass
class House:
    """`clock` is the commands' clock too."""

    directory: Path
    config: Path
    clock: FakeClock
    disk: Disk = field(default_factory=Disk)
    log: FakeLog = field(default_factory=FakeLog)
    count: int = 0

    @property
    def layout(self) -> Layout:
        return Layout(str(self.directory / "data"))

    def put(self, *recipients: str, sender: str = "ada@example.com", age: float = 0.0, **more: object) -> str:
        """Queue a message that came `age` seconds ago; gives its ID."""
        self.count += 1
        moment = FakeClock(self.clock.now() - age - 1 + self.count / 1000)  # IDs of one moment could be the same
        identifier = QueueIds(moment, 1).new() + "0"
        envelope = Envelope(
            identifier,
            moment.now(),
            parse_address(sender) if sender else None,
            tuple(Recipient(parse_address(one), DsnRequest()) for one in recipients or ("bob@example.net",)),
            MailParameters(),
            size=len(MESSAGE),
            **more,  # type: ignore[arg-type]
        )
        with Scratch(self.disk, "", 0, MemoryBudget(0)) as nothing:
            Spool(self.disk, self.layout.data_dir).enqueue(envelope, Octets(MESSAGE, nothing))
        self.disk.set_time(f"{self.layout.queue}/{identifier}", moment.now())
        return identifier

    def defer(self, identifier: str, reply: str, seconds: float = 600.0) -> None:
        """A try that failed for all recipients."""
        host = "mx.example.net [192.0.2.1]"
        with self.claims.try_claim(identifier) or pytest.fail("cannot be claimed") as claim:
            now = self.clock.now()
            claim.defer(now + seconds, [
                Outcome(index, Status.DELAYED, "4.7.1", reply, host, now) for index in claim.waiting
            ])  # fmt: skip

    @property
    def claims(self) -> Claims:
        return Claims(self.disk, self.layout, self.clock, self.log)  # type: ignore[arg-type]

    def names(self, place: str) -> set[str]:
        return set(self.disk.names(f"{self.layout.data_dir}/spool/{place}"))

    def configure(self, more: str) -> None:
        """Add to the configuration, at its top."""
        self.config.write_text(more + self.config.read_text(), encoding="utf-8")


def build(directory: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house in a new directory."""
    clock = FakeClock(NOW)
    monkeypatch.setattr(SystemClock, "now", staticmethod(clock.now))
    monkeypatch.setattr(
        queue_place, "choose", lambda _config: Identity(os.geteuid(), os.getegid(), "tests", False)
    )
    monkeypatch.setenv(queue_place.DROP_VARIABLE, str(directory / "no drop directory"))
    config = directory / "mailsrv.toml"
    config.write_text(
        f'hostname = "mail.example.com"\ndata_dir = "{directory}/data"\ndomains = ["example.com"]\n'
        '[[accounts]]\nname = "ada"\naddresses = ["ada@example.com", "postmaster@example.com"]\n'
        '[[routes]]\nnext_hop = "smtp:relay.example.org:587"\ndomains = ["relayed.example"]\n',
        encoding="utf-8",
    )
    house = House(directory, config, clock)
    prepare(house.disk, str(directory / "data"))
    return house
