"""What other servers do, and what must come of it: one message each, for test_send.py.

In a row, `hosts` are those at 127.0.0.1, 127.0.0.2 and so on; `log` is one attempt per recipient, `took` the recipients
of each message that a host has accepted, `report` what the sender is told, `again` in how many seconds the message is
tried again (None: it has left the queue).
"""

from dataclasses import dataclass, field

from mailsrv.config.schema import RouteConfig
from mailsrv.smtp.client_events import Phase
from tests.fakes.mx import OFFERS, Behaviour
from tests.whole.send_house import MESSAGE

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
