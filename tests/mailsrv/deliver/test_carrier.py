"""From a host's answers to outcomes; what the whole table of behaviours leads to is in tests/whole/test_send.py."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from mailsrv.deliver.carrier import Carrier, Roads
from mailsrv.deliver.dispatch import Destination
from mailsrv.deliver.hosts import Ourselves
from mailsrv.deliver.job import Job
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, MailParameters, Recipient
from mailsrv.mail.outcome import Outcome
from mailsrv.smtp.client_events import Transaction
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.fakes.mx import Behaviour, FakeMx

BODY = b"Subject: x\r\n\r\nhello\r\n"
ZONE = """
one.example MX 10 mx1.example
two.example MX 10 mx1.example
two.example MX 20 mx2.example
null.example MX 0 .
mx1.example A 127.0.0.1
mx2.example A 127.0.0.9
"""


class FakeDelivery:
    """A message without a spool. `read` stands for reading its octets."""

    def __init__(self, *names: str, read: Callable[[], Iterator[bytes]] | None = None) -> None:
        recipients = tuple(Recipient(Address(name, "one.example")) for name in names or ("bob",))
        self.envelope = Envelope("q1", 0.0, Address("a", "b.example"), recipients)
        self.passed_on: set[int] = set()
        self.forced = False
        self.transmit_seconds = 0.0
        self.read = read
        self.unsignable = ""

    def prepare(self) -> None:
        if self.unsignable:
            raise StorageError(self.unsignable)

    def blocks(self) -> Iterator[bytes]:
        return iter((BODY,)) if self.read is None else self.read()


class FakeJob(Job):
    """A job of a FakeDelivery."""

    def transaction(self, chosen: tuple[int, ...]) -> Transaction:
        envelope = self.delivery.envelope
        recipients = tuple(envelope.recipients[index] for index in chosen)
        return Transaction(envelope.reverse_path, recipients, MailParameters(), len(BODY))


class Table:
    """A dispatcher of one next hop whose jobs the test lays out. An entry that is no job is called, and the next one
    taken."""

    def __init__(self, *jobs: Any) -> None:
        self.jobs = list(jobs)
        self.waiting: list[Job] | None = []
        self.told: list[str] = []
        self.alone = (0.0, "")

    def take(self, destination: Destination, idle_seconds: float) -> Job | None:
        while self.jobs and not isinstance(self.jobs[0], Job):
            self.jobs.pop(0)()
        return self.jobs.pop(0) if self.jobs else None

    def worked(self, destination: Destination) -> None:
        self.told.append("worked")

    def failed(self, destination: Destination, job: Job, reason: str) -> list[Job] | None:
        self.told.append(reason)
        return self.waiting

    def left_alone(self, hop: NextHop) -> tuple[float, str]:
        return self.alone


class Carriage:
    """Carries jobs and keeps what came of them, by the job's message."""

    def __init__(self, home: Callable[[Job], list[Outcome]] | None = None) -> None:
        self.ended: list[tuple[Job, list[Outcome]]] = []
        self.log = FakeLog()
        self.fails_to_end = 0

        def nowhere(_job: Job) -> list[Outcome]:
            raise AssertionError("nothing is delivered here")

        self.carrier = Carrier(
            Roads(
                FakeResolver(ZONE), Ourselves(frozenset({"us.example"}), frozenset(), lambda _address: False),
                FakeClock(), self.log, "us.example", 5.0, 0.0, 100, home or nowhere,  # type: ignore[arg-type]
            ),  # fmt: skip
            self.end,
        )

    def end(self, job: Job, outcomes: list[Outcome]) -> None:
        if self.fails_to_end:
            self.fails_to_end -= 1
            raise RuntimeError("a bug in settling")
        self.ended.append((job, outcomes))

    def serve(self, table: Table, destination: Destination) -> list[list[tuple[int, str, str]]]:
        self.carrier.serve(table, destination)  # type: ignore[arg-type]
        return self.outcomes()

    def outcomes(self) -> list[list[tuple[int, str, str]]]:
        return [[(one.recipient, one.status.value, one.dsn) for one in outcomes] for _job, outcomes in self.ended]


def job(delivery: FakeDelivery | None = None, mx: FakeMx | None = None, domain: str = "one.example") -> FakeJob:
    made = delivery or FakeDelivery()
    hop = NextHop(HopKind.DIRECT, domain, mx.port if mx else 1)
    return FakeJob(made, hop, tuple(range(len(made.envelope.recipients))), made.envelope.reverse_path)  # type: ignore[arg-type]


def at_home(delivery: FakeDelivery | None = None) -> FakeJob:
    made = delivery or FakeDelivery()
    return FakeJob(made, NextHop(HopKind.LOCAL, "ada"), (0,), None)  # type: ignore[arg-type]


@pytest.fixture
def mx() -> Iterator[FakeMx]:
    with FakeMx() as made:
        yield made


def test_jobs_over_one_connection(mx: FakeMx) -> None:
    one, jobs = Carriage(), [job(None, mx) for _ in range(3)]
    table = Table(*jobs)
    assert one.serve(table, Destination(jobs[0].hop)) == [[(0, "relayed", "2.0.0")]] * 3
    assert [ended for ended, _ in one.ended] == jobs
    assert (mx.connections, table.told) == (1, ["worked"] * 3)
    assert one.ended[0][1][0].host == "mx1.example [127.0.0.1]"
    assert jobs[0].delivery.passed_on == {0}


def test_a_connection_that_the_host_has_closed_meanwhile(mx: FakeMx) -> None:
    def hang_up() -> None:
        for connection in list(mx._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    one, first = Carriage(), job(None, mx)
    outcomes = one.serve(Table(first, hang_up, job(None, mx)), Destination(first.hop))
    assert outcomes == [[(0, "relayed", "2.0.0")]] * 2
    assert mx.connections == 2


def test_home() -> None:
    def deliver(one: Job) -> list[Outcome]:
        raise StorageError("the disk is full")

    one = Carriage(deliver)
    assert one.serve(Table(at_home()), Destination(at_home().hop)) == [[(0, "delayed", "4.3.0")]]
    assert one.log.named("storage") == [{"path": "q1", "reason": "the disk is full"}]


def test_a_bug_ends_one_job() -> None:
    def deliver(one: Job) -> list[Outcome]:
        raise ZeroDivisionError

    one = Carriage(deliver)
    assert one.serve(Table(at_home(), at_home()), Destination(at_home().hop)) == [[(0, "delayed", "4.3.0")]] * 2
    assert len(one.log.named("bug")) == 2


def test_a_bug_in_settling_ends_no_thread(mx: FakeMx) -> None:
    one, first = Carriage(), job(None, mx)
    one.fails_to_end = 1
    assert one.serve(Table(first, job(None, mx)), Destination(first.hop)) == [[(0, "relayed", "2.0.0")]]
    assert len(one.log.named("bug")) == 1


@pytest.mark.parametrize("error, event", [(StorageError("it is broken"), "storage"), (ZeroDivisionError(), "bug")])
def test_what_was_taken_before_trouble_is_kept(error: Exception, event: str) -> None:
    times = iter(range(9))

    def read() -> Iterator[bytes]:
        if next(times):
            yield BODY[:5]
            raise error
        yield BODY

    with FakeMx(Behaviour(offers=("LIMITS RCPTMAX=1",))) as mx:
        one, first = Carriage(), job(FakeDelivery("a", "b", "c", read=read), mx)
        outcomes = one.serve(Table(first), Destination(first.hop))
        assert len(mx.accepted) == 1
    assert [sorted(one) for one in outcomes] == [
        [(0, "relayed", "2.0.0"), (1, "delayed", "4.3.0"), (2, "delayed", "4.3.0")]
    ]
    assert len(one.log.named(event)) == 1


def test_a_message_that_cannot_be_signed_waits(mx: FakeMx) -> None:
    delivery = FakeDelivery()
    delivery.unsignable = "no key"
    one, first = Carriage(), job(delivery, mx)
    assert one.serve(Table(first), Destination(first.hop)) == [[(0, "delayed", "4.3.0")]]
    assert mx.connections == 0
    assert one.log.named("storage")


def test_what_comes_just_after_a_failure_waits_too(mx: FakeMx) -> None:
    one, first, forced = Carriage(), job(None, mx), job(None, mx)
    forced.delivery.forced = True
    table = Table(first, forced)
    table.alone = (9e9, "it is dead")
    assert one.serve(table, Destination(first.hop)) == [[(0, "delayed", "4.4.1")], [(0, "relayed", "2.0.0")]]
    assert one.ended[0][1][0].reply == "451 4.4.1 it is dead"


LAME = [
    ("one.example", Behaviour(replies={"connect": "421 4.3.2 busy"}), "busy", "4.3.2"),
    ("one.example", Behaviour(replies={"mail": "421 4.3.2 busy"}), "busy", "4.3.2"),
    ("one.example", Behaviour(close_at="ehlo"), "reply to EHLO", "4.4.2"),
    ("one.example", Behaviour(close_at="mail"), "reply to MAIL", "4.4.2"),
    ("one.example", Behaviour(close_at="rcpt", offers=()), "reply to RCPT", "4.4.2"),
]
USABLE = [
    ("null.example", Behaviour(), "failed", "5.1.10"),
    ("one.example", Behaviour(rcpt=(("bob", "451 4.7.1 greylisted"),)), "delayed", "4.7.1"),
    ("one.example", Behaviour(rcpt=(("bob", "550 5.1.1 unknown"),)), "failed", "5.1.1"),
    ("one.example", Behaviour(offers=("SIZE 5",)), "failed", "5.3.4"),
    ("one.example", Behaviour(close_at="end"), "delayed", "4.4.2"),
    ("one.example", Behaviour(replies={"connect": "554 5.7.1 no"}), "failed", "5.7.1"),
]


@pytest.mark.parametrize("domain, behaviour, reason, dsn", LAME)
def test_hosts_of_no_use_end_all_jobs(domain: str, behaviour: Behaviour, reason: str, dsn: str) -> None:
    with FakeMx(behaviour) as mx:
        one, first = Carriage(), job(None, mx, domain)
        table = Table(first)
        other = job(FakeDelivery("carl", "dora"), mx, domain)
        table.waiting = [other]
        outcomes = one.serve(table, Destination(first.hop))
    assert outcomes == [[(0, "delayed", dsn), (1, "delayed", dsn)], [(0, "delayed", dsn)]]
    assert [ended for ended, _ in one.ended] == [other, first]
    (told,) = table.told
    assert reason in told
    assert mx.connections == 1


@pytest.mark.parametrize("domain, behaviour, status, dsn", USABLE)
def test_what_is_one_message_s_matter_is_no_failure_of_the_next_hop(
    domain: str, behaviour: Behaviour, status: str, dsn: str
) -> None:
    with FakeMx(behaviour) as mx:
        one, first = Carriage(), job(None, mx, domain)
        table = Table(first)
        assert one.serve(table, Destination(first.hop)) == [[(0, status, dsn)]]
    assert table.told in ([], ["worked"])


def test_one_connection_too_many_ends_the_thread_and_not_the_job() -> None:
    with FakeMx(Behaviour(replies={"connect": "421 4.7.0 too many connections"})) as mx:
        one, first = Carriage(), job(None, mx)
        table = Table(first, job(None, mx))
        table.waiting = None
        assert one.serve(table, Destination(first.hop)) == []
        assert len(table.jobs) == 1


def test_what_a_host_lies_about_is_added_to_what_is_known() -> None:
    with FakeMx(Behaviour(denies=frozenset({"DSN", "CHUNKING"}))) as mx:
        one, first = Carriage(), job(None, mx)
        destination = Destination(first.hop)
        destination.lies["127.0.0.1"] = frozenset({"DSN"})
        assert one.serve(Table(first), destination) == [[(0, "relayed", "2.0.0")]]
        assert destination.lies == {"127.0.0.1": frozenset({"DSN", "CHUNKING"})}
        assert mx.connections == 2


def test_what_one_host_cannot_take_waits_for_one_that_is_away() -> None:
    with FakeMx(Behaviour(offers=("SIZE 5",))) as mx:
        one, first = Carriage(), job(None, mx, "two.example")
        assert one.serve(Table(first), Destination(first.hop)) == [[(0, "delayed", "4.3.4")]]
    assert one.ended[0][1][0].reply.startswith("451 4.3.4 the message is bigger")
