"""The queue against what other servers do: each row a message, how the hosts behave, and what must come of it.

In a row, `hosts` are those at 127.0.0.1, 127.0.0.2 and so on; `log` is one attempt per recipient, `took` the recipients
of each message that a host has accepted, `report` what the sender is told, `again` in how many seconds the message is
tried again (None: it has left the queue).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsrv.config.schema import RouteConfig
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, Recipient
from mailsrv.smtp.client_events import TIMEOUTS, Phase
from mailsrv.spool.claim import Claims
from mailsrv.spool.paused import Paused
from tests.fakes.mx import OFFERS, Behaviour, FakeMx
from tests.mailsrv.system.test_tls import self_signed
from tests.whole.send_house import MESSAGE, House, start_hosts

GOOD = (Behaviour(),)
BOB = "bob@one.example"
TWO = "bob@two.example"
EIGHT_BIT = MESSAGE + b"Gr\xc3\xbc\xc3\x9fe\r\n"
UTF8_HEADER = MESSAGE.replace(b"Lunch", "Käse".encode())
BIG = MESSAGE + (b"x" * 76 + b"\r\n") * 110_000


def says(**replies: str) -> tuple[Behaviour, ...]:
    """A host with these replies."""
    return (Behaviour(replies=replies),)


def without(*keywords: str, **more: object) -> tuple[Behaviour, ...]:
    """A host that does not offer some extensions."""
    return (Behaviour(offers=tuple(one for one in OFFERS if one.split()[0] not in keywords), **more),)  # type: ignore[arg-type]


def rcpt(*answers: tuple[str, str]) -> tuple[Behaviour, ...]:
    """A host that answers RCPT by pattern."""
    return (Behaviour(rcpt=answers),)


@dataclass(frozen=True)
class Row:
    name: str
    hosts: dict[int, tuple[Behaviour, ...]]
    log: list[tuple[str, ...]]  # recipient, outcome, status code, a part of the reason
    took: dict[int, list[list[str]]] = field(default_factory=dict)
    report: list[tuple[str, str, str]] = field(default_factory=list)  # recipient, status code, part of the diagnostic
    again: float | None = None
    to: tuple[str, ...] = (BOB,)
    body: bytes = MESSAGE
    silent: Phase | None = None
    tls: str = ""
    unanswered: int = 0
    route: RouteConfig | None = None


def relayed(*recipients: str) -> list[tuple[str, ...]]:
    return [(one, "relayed", "2.0.0", "taken") for one in recipients or (BOB,)]


def delayed(dsn: str, reason: str, recipient: str = BOB) -> list[tuple[str, ...]]:
    return [(recipient, "delayed", dsn, reason)]


def failed(dsn: str, reason: str, recipient: str = BOB) -> list[tuple[str, ...]]:
    return [(recipient, "failed", dsn, reason)]


def refused(name: str, hosts: dict[int, tuple[Behaviour, ...]], dsn: str, reason: str, **more: object) -> Row:
    """A row whose only recipient is refused, which the sender is told at once."""
    to = more.get("to", (BOB,))
    assert isinstance(to, tuple)
    return Row(name, hosts, failed(dsn, reason, to[0]), report=[(to[0], dsn, reason)], **more)  # type: ignore[arg-type]


def waits(name: str, hosts: dict[int, tuple[Behaviour, ...]], dsn: str, reason: str, **more: object) -> Row:
    """A row whose only recipient waits for the next attempt."""
    to = more.get("to", (BOB,))
    assert isinstance(to, tuple)
    return Row(name, hosts, delayed(dsn, reason, to[0]), again=300.0, **more)  # type: ignore[arg-type]


def arrives(name: str, hosts: dict[int, tuple[Behaviour, ...]], at: int = 1, **more: object) -> Row:
    """A row whose only recipient gets the message at one host."""
    to = more.get("to", (BOB,))
    assert isinstance(to, tuple)
    return Row(name, hosts, relayed(*to), took={at: [list(to)]}, **more)  # type: ignore[arg-type]


ROWS = [
    # Answers to the envelope and the message.
    arrives("accepted", {1: GOOD}),
    arrives("several recipients in one transaction", {1: GOOD}, to=("a@one.example", "b@one.example", "c@one.example")),
    arrives("251, user not local; will forward", {1: rcpt(("bob", "251 2.1.5 will forward"))}),
    refused("no such user", {1: rcpt(("bob", "550 5.1.1 no such user"))}, "5.1.1", "550 5.1.1 no such user"),
    refused("551, not here", {1: rcpt(("bob", "551 5.1.6 moved"))}, "5.1.6", "551 5.1.6 moved"),
    refused("a refusal without an enhanced code", {1: rcpt(("bob", "550 no"))}, "5.0.0", "550"),
    refused("refused at MAIL", {1: says(mail="550 5.7.1 not you")}, "5.7.1", "not you"),
    refused("refused at DATA", {1: without("CHUNKING", replies={"data": "554 5.7.1 no data"})}, "5.7.1", "no data"),
    refused("refused after the message", {1: says(end="554 5.6.0 spam")}, "5.6.0", "spam"),
    refused("a refusal is not taken to the next host", {1: says(end="554 5.6.0 spam"), 2: GOOD}, "5.6.0", "spam",
            to=(TWO,)),
    Row("one refused, one accepted", {1: rcpt(("no@", "550 5.1.1 unknown"))},
        [("no@one.example", "failed", "5.1.1", "unknown"), *relayed("yes@one.example")],
        {1: [["yes@one.example"]]}, [("no@one.example", "5.1.1", "unknown")],
        to=("no@one.example", "yes@one.example")),
    Row("one deferred, one accepted", {1: rcpt(("slow@", "451 4.7.1 greylisted"))},
        [*relayed("quick@one.example"), ("slow@one.example", "delayed", "4.7.1", "greylisted")],
        {1: [["quick@one.example"]]}, again=300.0, to=("slow@one.example", "quick@one.example")),
    waits("450 at RCPT", {1: rcpt(("bob", "450 4.2.0 busy"))}, "4.2.0", "busy"),
    waits("451 at RCPT", {1: rcpt(("bob", "451 4.3.0 error"))}, "4.3.0", "error"),
    waits("452 at RCPT", {1: rcpt(("bob", "452 4.2.2 full"))}, "4.2.2", "full"),
    waits("552 at RCPT is too many recipients", {1: rcpt(("bob", "552 5.5.3 too many"))}, "4.5.3", "too many"),
    Row("452 with others accepted: the rest at once", {1: (Behaviour(most_recipients=1),)},
        relayed("a@one.example", "b@one.example", "c@one.example"),
        {1: [["a@one.example"], ["b@one.example"], ["c@one.example"]]},
        to=("a@one.example", "b@one.example", "c@one.example")),
    waits("421 as greeting", {1: says(connect="421 4.3.2 too busy")}, "4.3.2", "too busy"),
    waits("421 at EHLO", {1: says(ehlo="421 4.3.2 not now")}, "4.3.2", "not now"),
    waits("421 at MAIL", {1: says(mail="421 4.3.2 going down")}, "4.3.2", "going down"),
    waits("421 at RCPT", {1: says(rcpt="421 4.7.0 slow down")}, "4.7.0", "slow down"),
    waits("421 at DATA", {1: without("CHUNKING", replies={"data": "421 4.3.0 bye"})}, "4.3.0", "bye"),
    waits("421 after the message", {1: says(end="421 4.3.0 bye")}, "4.3.0", "bye"),
    waits("451 after the message", {1: says(end="451 4.3.0 later")}, "4.3.0", "later"),
    # From host to host.
    arrives("the best host first", {1: GOOD, 2: GOOD, 3: GOOD}, to=("bob@three.example",)),
    arrives("554 as greeting: the next host", {1: says(connect="554 5.7.1 no"), 2: GOOD}, 2, to=(TWO,)),
    refused("554 as greeting of all hosts", {1: says(connect="554 5.7.1 no")}, "5.7.1", "554 5.7.1 no"),
    arrives("421 as greeting: the next host", {1: says(connect="421 4.3.2 no"), 2: GOOD}, 2, to=(TWO,)),
    arrives("EHLO refused: the next host", {1: says(ehlo="421 4.3.2 no"), 2: GOOD}, 2, to=(TWO,)),
    arrives("451 at MAIL: the next host", {1: says(mail="451 4.3.0 no"), 2: GOOD}, 2, to=(TWO,)),
    arrives("451 at RCPT: the next host", {1: rcpt(("bob", "451 4.3.0 no")), 2: GOOD}, 2, to=(TWO,)),
    arrives("451 after the message: the next host", {1: says(end="451 4.3.0 no"), 2: GOOD}, 2, to=(TWO,)),
    arrives("closed at the greeting: the next host", {1: (Behaviour(close_at="connect"),), 2: GOOD}, 2, to=(TWO,)),
    arrives("closed at MAIL: the next host", {1: (Behaviour(close_at="mail"),), 2: GOOD}, 2, to=(TWO,)),
    arrives("closed while the message comes: the next host",
            {1: without("CHUNKING", close_at="body"), 2: GOOD}, 2, to=(TWO,), body=BIG),
    arrives("no connection: the next host", {2: GOOD}, 2, to=("bob@backed.example",)),
    arrives("a host without address: the next host", {2: GOOD}, 2, to=("bob@dangling.example",)),
    waits("no host at all", {1: GOOD}, "4.4.1", "connection refused", to=("bob@dead.example",)),
    Row("deferred by the first, taken by the second, for one of two",
        {1: rcpt(("slow@", "451 4.7.1 later")), 2: GOOD}, relayed("quick@two.example", "slow@two.example"),
        {1: [["quick@two.example"]], 2: [["slow@two.example"]]}, to=("slow@two.example", "quick@two.example")),
    # In doubt.
    waits("closed after the message: nobody else is asked", {1: (Behaviour(close_at="end"),), 2: GOOD},
          "4.4.2", "connection was closed", to=(TWO,), unanswered=1),
    # Silence.
    waits("silent at the greeting", {1: (Behaviour(silent_at="connect"),)}, "4.4.2", "greeting", silent=Phase.GREETING),
    waits("silent at EHLO", {1: (Behaviour(silent_at="ehlo"),)}, "4.4.2", "reply to EHLO", silent=Phase.HELLO),
    waits("silent at MAIL", {1: (Behaviour(silent_at="mail"),)}, "4.4.2", "reply to MAIL", silent=Phase.MAIL),
    waits("silent at RCPT", {1: (Behaviour(silent_at="rcpt"),)}, "4.4.2", "reply to RCPT", silent=Phase.RCPT),
    waits("silent at DATA", {1: without("CHUNKING", silent_at="data")}, "4.4.2", "reply to DATA",
          silent=Phase.DATA_INIT),
    waits("silent while the message comes", {1: without("CHUNKING", silent_at="body")}, "4.4.2", "take the message",
          silent=Phase.DATA_BLOCK, body=BIG),
    waits("silent after the message", {1: (Behaviour(silent_at="end"),)}, "4.4.2", "reply to the message",
          silent=Phase.DATA_END, unanswered=1),
    # The DNS.
    refused("null MX", {1: GOOD}, "5.1.10", "556 5.1.10", to=("bob@null.example",)),
    refused("no such domain", {1: GOOD}, "5.1.2", "does not exist", to=("bob@nodomain.example",)),
    refused("an MX without address", {1: GOOD}, "5.4.4", "nowhere.example", to=("bob@astray.example",)),
    arrives("an implicit MX", {1: GOOD}, to=("bob@implicit.example",)),
    waits("the DNS fails", {1: GOOD}, "4.4.3", "cannot be found", to=("bob@fails.example",)),
    refused("a loop to ourselves", {1: GOOD}, "5.4.6", "comes back to this server", to=("bob@ours.example",)),
    arrives("hosts better than ourselves", {1: GOOD}, to=("bob@relayed.example",)),
    waits("hosts better than ourselves, none there", {2: GOOD}, "4.4.1", "refused", to=("bob@relayed.example",)),
    arrives("an address literal", {1: GOOD}, to=("bob@[127.0.0.1]",)),
    # What a message needs and a host offers.
    arrives("HELO only", {1: (Behaviour(helo_only=True),)}),
    arrives("nothing offered", {1: (Behaviour(offers=()),)}),
    arrives("8-bit text taken", {1: GOOD}, body=EIGHT_BIT),
    refused("8-bit text, no 8BITMIME", {1: (Behaviour(offers=("PIPELINING",)),)}, "5.6.3", "8-bit", body=EIGHT_BIT),
    arrives("8-bit text, the next host takes it", {1: (Behaviour(offers=()),), 2: GOOD}, 2, to=(TWO,), body=EIGHT_BIT),
    waits("8-bit text, the host that may take it is away", {1: (Behaviour(offers=()),)}, "4.6.3", "8-bit",
          to=(TWO,), body=EIGHT_BIT),
    refused("a UTF-8 header, no SMTPUTF8", {1: without("SMTPUTF8")}, "5.6.9", "SMTPUTF8", body=UTF8_HEADER),
    refused("a UTF-8 address, no SMTPUTF8", {1: without("SMTPUTF8")}, "5.6.7", "SMTPUTF8", to=("bøb@one.example",)),
    Row("a UTF-8 domain as A-labels", {1: without("SMTPUTF8")}, relayed("bob@bücher.example"),
        {1: [["bob@xn--bcher-kva.example"]]}, to=("bob@bücher.example",)),
    refused("a SIZE that is too small", {1: (Behaviour(offers=("SIZE 50",)),)}, "5.3.4", "bigger"),
    # Lies, and strange replies.
    arrives("SIZE offered and refused", {1: (Behaviour(denies=frozenset({"SIZE"})),)}),
    arrives("CHUNKING offered and not known", {1: (Behaviour(denies=frozenset({"CHUNKING"})),)}),
    waits("a 354 to RCPT", {1: says(rcpt="354 go")}, "4.5.0", "RCPT"),
    arrives("lines that end in a bare LF", {1: (Behaviour(line_end="\n"),)}),
    arrives("replies of 64 KiB", {1: (Behaviour(padding=65000),)}),
    refused("a refusal of 64 KiB is cut", {1: (Behaviour(padding=65000, rcpt=(("bob", "550 5.1.1 unknown"),)),)},
            "5.1.1", "550 5.1.1 unknown"),
    waits("a reply of more than 64 KiB", {1: (Behaviour(padding=70000),)}, "4.4.2", "line that does not end"),
    # TLS.
    arrives("STARTTLS with a certificate of its own making", {1: (Behaviour(starttls="works"),)}, tls="used"),
    arrives("STARTTLS is refused", {1: (Behaviour(starttls="works", denies=frozenset({"STARTTLS"})),)}, tls="unused"),
    arrives("STARTTLS is broken: in clear in the end", {1: (Behaviour(starttls="broken"),)}, tls="unused"),
    arrives("closed at STARTTLS: in clear in the end", {1: (Behaviour(starttls="works", close_at="starttls"),)},
            tls="unused"),
    arrives("STARTTLS is broken: the next host",
            {1: (Behaviour(starttls="broken"),), 2: (Behaviour(starttls="works"),)}, 2, to=(TWO,), tls="used"),
    waits("encrypt, and no STARTTLS", {1: GOOD}, "4.7.4", "STARTTLS", route=RouteConfig("direct", tls="encrypt")),
    waits("encrypt, and STARTTLS is broken", {1: (Behaviour(starttls="broken"),)}, "4.7.5", "TLS",
          route=RouteConfig("direct", tls="encrypt")),
    arrives("encrypt, with any certificate", {1: (Behaviour(starttls="works"),)}, tls="used",
            route=RouteConfig("direct", tls="encrypt")),
    waits("verify, and nobody vouches", {1: (Behaviour(starttls="works"),)}, "4.7.5", "certificate",
          route=RouteConfig("direct", tls="verify")),
    arrives("none, though TLS is offered", {1: (Behaviour(starttls="works"),)}, tls="unused",
            route=RouteConfig("direct", tls="none")),
    # Several next hops.
    Row("three next hops of one message", {1: GOOD, 2: rcpt(("carl", "451 4.2.0 later"))},
        [*relayed(BOB), ("carl@other.example", "delayed", "4.2.0", "later"),
         ("dora@null.example", "failed", "5.1.10", "null MX")],
        {1: [[BOB]]}, [("dora@null.example", "5.1.10", "null MX")], again=300.0,
        to=(BOB, "carl@other.example", "dora@null.example")),
]  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    pair = self_signed(tmp_path_factory.mktemp("send") / "tls", "mx.fake.example")
    return pair.cert_file, pair.key_file


class Town:
    """Makes hosts and houses, and closes them."""

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


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    made = Town(tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, town: Town, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if row.silent is not None:
        monkeypatch.setitem(TIMEOUTS, row.silent, 0.3)
    house = town.build(row.hosts, certificate, routes=[row.route] if row.route else [])
    identifier = house.put(*row.to, body=row.body)
    house.run()
    found = house.attempts()
    assert [one[:3] for one in found] == sorted(one[:3] for one in row.log), found
    for one, wanted in zip(found, sorted(row.log), strict=True):
        assert wanted[3] in one[3]
    assert town.took() == row.took
    for host in town.hosts.values():
        for message in host.accepted:
            assert message.octets == row.body
            assert not row.tls or message.tls == (row.tls == "used")
    assert sum(len(host.unanswered) for host in town.hosts.values()) == row.unanswered
    assert house.waiting() == ({identifier: row.again} if row.again is not None else {})
    told = [one for letter in house.letters() for one in letter.told]
    assert [(one.recipient, one.action, one.status) for one in told] == [
        (recipient, "failed", dsn) for recipient, dsn, _diagnostic in row.report
    ]
    for one, (_recipient, _dsn, diagnostic) in zip(told, row.report, strict=True):
        assert diagnostic in one.diagnostic
        assert len(one.diagnostic) < 3000
    assert not house.log.named("bug") and not house.log.named("storage")


# What happens over time, and between messages.


def test_a_deferred_recipient_is_tried_alone(town: Town) -> None:
    house = town.build({1: (*rcpt(("slow@", "451 4.7.1 greylisted")), Behaviour())})
    house.put("slow@one.example", "quick@one.example", "other@other.example")
    house.run()
    assert list(house.waiting().values()) == [300.0]
    house.later(299)
    assert town.took() == {1: [["quick@one.example"]]}
    house.later(1)
    assert town.took() == {1: [["quick@one.example"], ["slow@one.example"]]}
    assert [one[1] for one in house.attempts() if one[0] == "slow@one.example"] == ["delayed", "relayed"]
    assert list(house.waiting().values()) == [600.0], "there is no host for the third one"


def test_a_message_that_is_never_taken(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "451 4.7.1 greylisted"))}, queue={"give_up_seconds": 86400})
    house.put(BOB)
    house.run()
    waits = []
    while waiting := house.waiting():
        (seconds,) = waiting.values()
        waits.append(seconds)
        house.later(seconds)
        assert len(house.letters()) == (sum(waits) >= 14400) + (sum(waits) >= 86400)
    # The sixth wait is cut short for the delay report, and the last one by the end.
    assert waits[:6] == [300, 600, 1200, 2400, 4800, 5100]
    assert sum(waits) == 86400 and max(waits) == 14400
    late, failure = house.letters()
    assert (late.kind, failure.kind) == ("delayed", "failed")
    for letter in (late, failure):
        (one,) = letter.told
        assert (one.recipient, one.status) == (BOB, "4.7.1")
        assert one.diagnostic == "451 4.7.1 greylisted"
        assert one.fields["Remote-MTA"] == "dns; mx1.one.example"
    assert "Will-Retry-Until" in late.told[0].fields
    assert "Will-Retry-Until" not in failure.told[0].fields


def test_messages_share_a_connection(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"connections_per_hop": 1})
    for _ in range(10):
        house.put(BOB)
    house.run()
    assert len(town.hosts[1].accepted) == 10
    assert town.hosts[1].connections == 1
    assert not house.waiting()


def test_a_connection_has_its_share_of_messages(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"connections_per_hop": 1, "messages_per_connection": 3})
    for _ in range(7):
        house.put(BOB)
    house.run()
    assert [one.connection for one in town.hosts[1].accepted] == [1, 1, 1, 2, 2, 2, 3]


def test_mailmax_is_heeded(town: Town) -> None:
    house = town.build({1: (Behaviour(offers=("LIMITS MAILMAX=2",)),)}, queue={"connections_per_hop": 1})
    for _ in range(4):
        house.put(BOB)
    house.run()
    assert [one.connection for one in town.hosts[1].accepted] == [1, 1, 2, 2]


def test_rcptmax_is_heeded(town: Town) -> None:
    house = town.build({1: (Behaviour(offers=("PIPELINING", "LIMITS RCPTMAX=2")),)})
    house.put(*(f"{name}@one.example" for name in "abcde"))
    house.run()
    assert [len(one.recipients) for one in town.hosts[1].accepted] == [2, 2, 1]
    assert town.hosts[1].connections == 1


def test_what_a_host_lies_about_is_remembered(town: Town) -> None:
    house = town.build({1: (Behaviour(denies=frozenset({"CHUNKING"})),)}, queue={"connections_per_hop": 1})
    for _ in range(3):
        house.put(BOB)
    house.run()
    assert len(town.hosts[1].accepted) == 3
    assert town.hosts[1].connections == 2
    assert sum(line.startswith("BDAT") for line in town.hosts[1].commands) == 1


@pytest.mark.parametrize("lame", [says(connect="421 4.3.2 busy"), says(mail="421 4.3.2 busy"),
                                  (Behaviour(close_at="mail"),)])  # fmt: skip
def test_a_lame_host_is_not_tried_once_per_message(town: Town, lame: tuple[Behaviour, ...]) -> None:
    house = town.build({1: lame, 2: GOOD})
    for _ in range(20):
        house.put(BOB)
    house.put("carl@other.example")
    house.run()
    assert town.hosts[1].connections == 1
    assert town.took() == {2: [["carl@other.example"]]}
    assert list(house.waiting().values()) == [300.0] * 20
    house.later(200)
    house.put(BOB)
    house.run()
    assert town.hosts[1].connections == 1, "what comes meanwhile waits too"
    house.later(100)
    assert town.hosts[1].connections == 2, "one connection finds out whether it works again"
    town.hosts[1].behave(Behaviour())
    house.later(600)
    assert len(town.hosts[1].accepted) == 21
    assert not house.waiting()


def test_an_operator_has_everything_tried_at_once(town: Town) -> None:
    house = town.build({1: says(connect="421 4.3.2 busy")})
    first, second = house.put(BOB), house.put(BOB)
    house.run()
    town.hosts[1].behave(Behaviour())
    house.waker.wake(house.layout.wake, f"!{first}".encode())
    house.run()
    assert len(town.hosts[1].accepted) == 1
    assert set(house.waiting()) == {second}


def test_a_silent_host_delays_nobody_else(town: Town) -> None:
    house = town.build({1: (Behaviour(silent_at="connect"),), 2: GOOD}, queue={"connections": 3})
    for _ in range(5):
        house.put(BOB)
    house.put("carl@other.example")
    house.runner.step()
    assert [one.recipients for one in town.hosts[2].wait_for(1)] == [["carl@other.example"]]
    town.hosts[1].close()
    house.run()
    assert len(house.waiting()) == 5


def test_a_damaged_message_does_not_arrive_as_if_it_were_whole(town: Town) -> None:
    house = town.build({1: without("CHUNKING")})
    identifier = house.put(BOB)
    path = Path(house.layout.queue, identifier)
    path.write_bytes(path.read_bytes()[:-5])
    house.disk.set_time(str(path), house.clock.now())
    house.run()
    assert town.took() == {}
    assert identifier in house.names("queue") | house.names("corrupt")
    assert house.log.named("storage") or house.log.named("corrupt")


# Reports.


def test_the_report(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "550-5.1.1 no such user\n550 5.1.1 here"))})
    identifier = house.put(BOB, dsn=DsnRequest(("FAILURE",), "rfc822;robert@one.example"), envid="abc", ret="FULL")
    house.run()
    (letter,) = house.letters()
    assert letter.about["Original-Envelope-Id"] == "abc"
    assert letter.about["Reporting-MTA"] == "dns; mail.sender.example"
    assert letter.about["X-Mailsrv-Queue-ID"] == identifier
    (one,) = letter.told
    assert one.fields["Original-Recipient"] == "rfc822; robert@one.example"
    assert one.fields["Remote-MTA"] == "dns; mx1.one.example"
    assert one.diagnostic == "550 5.1.1 no such user here"
    assert "Shall we?" in letter.original
    assert letter.whole["Auto-Submitted"] == "auto-replied"
    assert letter.whole["Return-Path"] == "<>"
    assert letter.whole["To"] == "ada@sender.example"
    assert len(house.log.named("report")) == 1
    assert not house.waiting()
    house.later(86400)
    assert len(house.letters()) == 1


@pytest.mark.parametrize("words, told", [
    (("NEVER",), []), (("DELAY",), []), (("SUCCESS",), []), (("FAILURE",), ["failed"]), ((), ["failed"]),
])  # fmt: skip
def test_notify_of_a_failure(town: Town, words: tuple[str, ...], told: list[str]) -> None:
    house = town.build({1: rcpt(("bob", "550 5.1.1 unknown"))})
    house.put(BOB, dsn=DsnRequest(words))
    house.run()
    assert [letter.kind for letter in house.letters()] == told
    assert not house.waiting()


@pytest.mark.parametrize("words, told", [
    (("NEVER",), 0), (("FAILURE",), 0), (("DELAY", "FAILURE"), 1), ((), 1),
])  # fmt: skip
def test_notify_of_a_delay(town: Town, words: tuple[str, ...], told: int) -> None:
    house = town.build({1: rcpt(("bob", "451 4.2.0 later"))})
    house.put(BOB, dsn=DsnRequest(words))
    house.run()
    house.later(14400)
    assert [letter.kind for letter in house.letters()] == ["delayed"] * told
    house.later(14400)
    assert len(house.letters()) == told, "once"


def test_notify_of_success(town: Town) -> None:
    house = town.build({1: without("DSN"), 2: GOOD})
    house.put(BOB, "carl@other.example", dsn=DsnRequest(("SUCCESS",)))
    house.run()
    (letter,) = house.letters()
    assert [(one.recipient, one.action) for one in letter.told] == [(BOB, "relayed")], "the other host will report"
    assert town.hosts[1].accepted[0].rcpt_parameters == [""]
    assert town.hosts[2].accepted[0].rcpt_parameters == ["NOTIFY=SUCCESS"]


def test_dsn_parameters_are_passed_on(town: Town) -> None:
    house = town.build({1: GOOD})
    dsn = DsnRequest(("FAILURE", "DELAY"), "rfc822;robert+1@one.example")
    house.put(BOB, dsn=dsn, ret="HDRS", envid="a=b")
    house.run()
    (message,) = town.hosts[1].accepted
    assert message.mail_parameters == f"SIZE={len(MESSAGE)} RET=HDRS ENVID=a+3Db"
    assert message.rcpt_parameters == ["NOTIFY=FAILURE,DELAY ORCPT=rfc822;robert+2B1@one.example"]


def test_no_report_for_a_report(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "550 5.1.1 unknown"))})
    identifier = house.put(BOB, sender="", account="")
    house.run()
    assert not house.letters()
    assert house.names("hold") == {identifier}
    assert not house.waiting()
    assert house.log.named("held")


# Ways.


def test_a_smarthost_with_a_login(town: Town) -> None:
    behaviour = Behaviour(login=("ada", "secret"))
    town.hosts = start_hosts({1: (behaviour,)}, None)
    port = town.hosts[1].port
    for password, expected in (("secret", "relayed"), ("wrong", "delayed")):
        route = RouteConfig(f"smtp:127.0.0.1:{port}", tls="may", username="ada", password=password)
        house = town.house = House(town.directory / password, town.monkeypatch, town.hosts, routes=[route])
        house.put(BOB, "dora@null.example")
        house.run()
        assert [one[1] for one in house.attempts()] == [expected] * 2
        house.close()
    assert [one.account for one in town.hosts[1].accepted] == ["ada"]
    assert {one[2] for one in house.attempts()} == {"4.7.8"}
    assert not house.letters(), "a wrong password is the operator's business"


def test_lmtp(town: Town) -> None:
    path = str(town.directory / "lmtp")
    with FakeMx(Behaviour(lmtp=True, rcpt=(("no@", "550 5.1.1 unknown"),)), path=path) as server:
        route = RouteConfig(f"lmtp:{path}", domains=["one.example"])
        house = town.build({1: GOOD}, routes=[route])
        house.put("a@one.example", "no@one.example", "b@one.example", dsn=DsnRequest(("SUCCESS", "FAILURE")))
        house.run()
        assert [one.recipients for one in server.accepted] == [["a@one.example", "b@one.example"]]
    assert [one[:3] for one in house.attempts()] == [
        ("a@one.example", "delivered", "2.0.0"), ("b@one.example", "delivered", "2.0.0"),
        ("no@one.example", "failed", "5.1.1"),
    ]  # fmt: skip
    assert {(one.recipient, one.action) for letter in house.letters() for one in letter.told} == {
        ("a@one.example", "delivered"), ("b@one.example", "delivered"), ("no@one.example", "failed"),
    }  # fmt: skip


def test_a_paused_next_hop(town: Town) -> None:
    house = town.build({1: GOOD, 2: GOOD})
    paused = Paused(house.disk, house.layout)
    paused.add("one.example", house.clock.now())
    house.put(BOB, "carl@other.example")
    house.run()
    assert town.took() == {2: [["carl@other.example"]]}
    assert len(house.waiting()) == 1
    paused.remove("one.example")
    house.waker.wake(house.layout.wake, b"*")
    house.later(300)
    assert town.took()[1] == [[BOB]]
    assert not house.waiting()


def test_a_held_queue_delivers_at_home(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"hold": True})
    mine = Recipient(parse_address("ada@sender.example"), account="ada")
    house.put(BOB, mine)
    house.run()
    assert town.took() == {}
    assert len(list(Path(house.config.data_dir, "accounts/ada/new").iterdir())) == 1
    assert len(house.waiting()) == 1


def test_a_rerouted_message(town: Town) -> None:
    house = town.build({1: GOOD, 2: GOOD})
    identifier, other = house.put(BOB), house.put(BOB)
    claims = Claims(house.disk, house.layout, house.clock, house.log)  # type: ignore[arg-type]
    with claims.try_claim(identifier) or pytest.fail("cannot be claimed") as claim:
        claim.note("reroute", f"smtp:127.0.0.2:{town.hosts[2].port}")
    house.run()
    assert other
    assert town.took() == {1: [[BOB]], 2: [[BOB]]}


def test_forwarded_mail_has_a_sender_of_ours(town: Town) -> None:
    house = town.build({1: GOOD}, srs_secret="a secret that nobody knows")
    forwarded = Recipient(parse_address(BOB), original=parse_address("club@sender.example"))
    house.put(forwarded, "carl@one.example", sender="eve@elsewhere.example", account="")
    house.run()
    senders = {one.recipients[0]: one.reverse_path for one in town.hosts[1].accepted}
    assert senders["carl@one.example"] == "eve@elsewhere.example"
    assert senders[BOB].startswith("SRS0=") and senders[BOB].endswith("=elsewhere.example=eve@sender.example")
