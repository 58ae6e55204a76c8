"""Milters: what they are told and when, what each answer becomes, and that nonsense and silence end there."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.config.schema import FilterConfig
from mailsrv.receive import milter as door
from mailsrv.receive.filter import Action, GuardedFilter, Scan
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.system.clock import SystemClock
from mailsrv.system.net import Lost

from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.milter import SILENT, FakeMilter, add, insert, pack
from tests.mailsrv.receive.filter_message import new_message

ALL = sum(SILENT.values())
LEADING_SPACE = 0x100000
SKIP = 0x400


def scan(server, message=None, clock=None, **config):
    made = make_filter(FilterConfig(**{"milter": server.where, **config}), clock or FakeClock())
    return made.scan(message or new_message())


def answered(answers, steps=0, message=None):
    with FakeMilter(answers, steps) as server:
        finding = scan(server, message)
    assert finding.scan is Scan.DONE, finding
    return finding, server


@pytest.mark.parametrize("steps", [0, ALL])
def test_what_it_is_told(steps):
    finding, told = answered({}, steps)
    assert (finding.action, finding.reply, finding.fields, finding.ignored) == (Action.ACCEPT, None, b"", ())
    assert told.order == "OCHMRRTLLLNBEQ"
    assert told.said("O") == [struct.pack(">III", 6, 0x1FF, 0x1FFFFF)]
    assert told.said("C") == [b"mx.example\x004\0\x00192.0.2.1\0"]
    assert told.said("H") == [b"helo.example\0"]
    assert told.said("M") == [b"<from@example.org>\0"]
    assert told.said("R") == [b"<a@here.example>\0", b"<b@here.example>\0"]
    assert told.said("L") == [b"Received\0by here.example\0", b"From\0from@example.org\0", b"Subject\0a\n\tfold\0"]
    assert told.said("B") == [b"body\r\n"]
    assert told.said("E") == [b""]


def test_macros():
    _, told = answered({}, message=new_message(account="alice", tls="TLS1.3 TLS_AES_256_GCM_SHA384"))
    assert told.macros("C") == {
        "j": "here.example", "{daemon_name}": "mailsrv", "{client_addr}": "192.0.2.1", "{client_name}": "mx.example",
        "_": "mx.example [192.0.2.1]",
    }  # fmt: skip
    assert told.macros("H") == {"{tls_version}": "TLSv1.3", "{cipher}": "TLS_AES_256_GCM_SHA384"}
    assert told.macros("M") == {"i": "4xyz", "{mail_addr}": "from@example.org", "{auth_authen}": "alice"}
    assert told.macros("R") == {"{rcpt_addr}": "b@here.example"}
    assert told.macros("T") == told.macros("E") == {"i": "4xyz"}


def test_another_message():
    message = new_message(b"no header here", b"", client="local", client_name="", reverse_path="", helo="a\0b")
    _, told = answered({}, LEADING_SPACE, message)
    assert told.said("C") == [b"[local]\0U"]
    assert told.said("H") == [b"a?b\0"]
    assert told.said("M") == [b"<>\0"]
    assert "{client_addr}" not in told.macros("C")


def test_a_client_without_a_name():
    _, told = answered({}, 0, new_message(client="2001:db8::1", client_name=""))
    assert told.said("C") == [b"[2001:db8::1]\x006\0\x002001:db8::1\0"]
    assert told.macros("C")["_"] == "[2001:db8::1]"


def test_a_client_of_this_link():
    _, told = answered({}, 0, new_message(client="fe80::1%eth0", client_name=""))
    assert told.said("C") == [b"[fe80::1%eth0]\x006\0\x00fe80::1\0"]


@pytest.mark.parametrize("count", [10, 20_000])
def test_long_messages(count):
    """Header and body are parted in the right place, whatever block they come in."""
    fields = b"".join(b"X-%d: a\r\n b\r\n" % number for number in range(count))
    body = b"0123456789abcdef\r\n" * 80_000
    _, told = answered({}, ALL | LEADING_SPACE, new_message(fields + b"\r\n" + body, b""))
    assert told.said("L") == [b"X-%d\0 a\n b\0" % number for number in range(count)]
    assert b"".join(told.said("B")) == body
    assert max(map(len, told.said("B"))) <= 65_535


def test_a_milter_that_answers_each_field_sees_the_first_ones():
    message = new_message(b"A: b\r\n" * 20_000 + b"\r\nbody", b"")
    finding, told = answered({}, 0, message)
    assert finding.action is Action.ACCEPT
    assert told.order == "OCHMRRT" + "L" * 5_000 + "NBEQ"


def test_a_header_without_end():
    _, told = answered({}, ALL, new_message(b"A: b\r\nC: d\r\n", b""))
    assert told.said("L") == [b"A\0b\0", b"C\0d\0"]
    assert told.said("B") == []


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        (0x1, "OHMRRTLLLNBEQ"),
        (0x2 | 0x4 | 0x8 | 0x200, "OCLLLNBEQ"),
        (0x20, "OCHMRRTNBEQ"),
        (0x40 | 0x10, "OCHMRRTLLLEQ"),
    ],
)
def test_it_is_not_told_what_it_does_not_want(steps, order):
    _, told = answered({}, steps)
    assert told.order == order
    assert all(letter in order for letter in "CHMRT" if told.macros(letter))


def test_an_old_milter_knows_no_data_command():
    with FakeMilter(version=2) as server:
        assert scan(server).scan is Scan.DONE
    assert server.order == "OCHMRRLLLNBEQ"


def test_enough_of_the_body():
    message = new_message(b"A: b\r\n\r\n" + b"x" * 1_000_000)
    finding, told = answered({"B": [b"s"], "E": [add("X-A", "b"), b"c"]}, SKIP, message)
    assert told.order == "OCHMRRTLLNBEQ"
    assert finding.fields == b"X-A: b\r\n"


# what it says -> what is done, reply, reason
DECISIONS = {
    "accept": (b"a", Action.ACCEPT, "", ""),
    "reject": (b"r", Action.REJECT, f"550 5.7.1 {door.REJECTED}", door.REJECTED),
    "tempfail": (b"t", Action.DEFER, f"451 4.7.1 {door.DEFERRED}", door.DEFERRED),
    "connection failure": (b"f", Action.DEFER, f"451 4.7.1 {door.DEFERRED}", door.DEFERRED),
    "shutdown": (b"4", Action.DEFER, f"451 4.7.1 {door.DEFERRED}", door.DEFERRED),
    "discard": (b"d", Action.JUNK, "", "discard"),
    "reply code": (b"y554 5.6.0 a virus\0", Action.REJECT, "554 5.6.0 a virus", "a virus"),
    "reply code without more": (b"y554\0", Action.REJECT, f"554 5.7.1 {door.REJECTED}", door.REJECTED),
    "temporary reply code": (b"y452 4.3.1 full\0", Action.DEFER, "452 4.3.1 full", "full"),
    "reply code that would close": (b"y421 4.3.0 bye\0", Action.DEFER, "451 4.3.0 bye", "bye"),
    "reply code with line ends": (b"y554 5.6.0 a\r\n250 ok\0", Action.REJECT, "554 5.6.0 a 250 ok", "a 250 ok"),
}


@pytest.mark.parametrize("command", "CHMTLNBE")
@pytest.mark.parametrize("row", DECISIONS)
def test_decisions(row, command):
    said, action, reply, reason = DECISIONS[row]
    finding, told = answered({command: [said]})
    assert (finding.action, str(finding.reply or ""), finding.reason) == (action, reply, reason)
    assert told.order.endswith(command + "Q")


@pytest.mark.parametrize(
    ("answers", "action", "refused"),
    [
        ([[b"c"], [b"r"]], Action.ACCEPT, 1),
        ([[b"t"], [b"c"]], Action.ACCEPT, 1),
        ([[b"r"], [b"r"]], Action.REJECT, 2),
        ([[b"r"], [b"t"]], Action.DEFER, 2),
        ([[b"a"]], Action.ACCEPT, 0),
        ([[b"d"]], Action.JUNK, 0),
    ],
)
def test_recipients(answers, action, refused):
    finding, told = answered({"R": answers})
    assert finding.action is action
    assert len(finding.ignored) == refused
    assert all(one == "refusal of a recipient" for one in finding.ignored)  # no address: it goes into the message
    assert told.order.endswith("EQ" if refused == 1 else "RQ")


def test_fields_come_on_top():
    wanted = [add("X-A", "a"), insert(0, "X-B", "b\n\tc"), add("From", "x@y.example"), add("X-C", "a\r\n\r\nb"), b"c"]
    finding, _ = answered({"E": wanted})
    assert finding.fields == b"X-A: a\r\nX-B: b\r\n\tc\r\nX-C: a\r\n\tb\r\n"
    assert finding.ignored == ("field From",)


def test_what_would_change_the_message_is_not_done():
    wanted = [b"m\0\0\0\x01Subject\0spam\0", b"bother body", b"+<x@y.example>\0", b"2<x@y.example>\0\0",
              b"-<a@here.example>\0", b"e<x@y.example>\0", b"p", b"c"]  # fmt: skip
    finding, _ = answered({"E": wanted})
    assert (finding.action, finding.fields) == (Action.ACCEPT, b"")
    assert finding.ignored == (
        "a changed field", "another body", "another recipient", "another recipient", "a recipient less",
        "another sender",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("end", "action", "reason"),
    [
        (b"c", Action.JUNK, "odd"), (b"a", Action.JUNK, "odd"), (b"d", Action.JUNK, "discard"),
        (b"r", Action.REJECT, door.REJECTED), (b"t", Action.DEFER, door.DEFERRED),
    ],
)  # fmt: skip
def test_quarantine(end, action, reason):
    finding, _ = answered({"E": [b"qodd\r\n\0", end]})
    assert (finding.action, finding.reason) == (action, reason)


@pytest.mark.parametrize("where", ["inet:filter.example:{}", "inet:[127.0.0.1]:{}", "inet:localhost:{}"])
def test_where_it_is(where):
    resolver = FakeResolver("filter.example. A 127.0.0.1")
    with FakeMilter() as server:
        made = make_filter(FilterConfig(milter=where.format(server.port)), FakeClock(), resolver)
        assert made.scan(new_message()).scan is Scan.DONE


def test_a_unix_socket(tmp_path):
    with FakeMilter(path=str(tmp_path / "milter")) as server:
        assert scan(server).scan is Scan.DONE


def say(octets):
    return lambda server, connection: connection.sendall(octets)


def end(server, connection):
    connection.shutdown(2)


# what it says where -> what the finding says
FAILURES = {
    "hangs": ({"H": lambda server, connection: server.hold(connection)}, "not done within"),
    "closes at once": ({"O": end}, "the connection was closed"),
    "closes before the end": ({"E": end}, "the connection"),
    "garbage": ({"O": say(b"220 mx.example ESMTP\r\n")}, "it answered a packet of"),
    "10 MB": ({"E": say(pack(b"h" + b"a" * 10_000_000))}, "it answered a packet of 10000001 octets"),
    "an empty packet": ({"C": say(b"\0\0\0\0")}, "a packet of 0 octets"),
    "an unknown kind": ({"C": [b"?"]}, "unknown kind"),
    "an old version": ({"O": [b"O" + b"\0" * 12]}, "version 0"),
    "no negotiation": ({"O": [b"c"]}, "no answer to the negotiation"),
    "another negotiation": ({"C": [b"O" + b"\0" * 12]}, "options where a decision is due"),
    "a field before the end": ({"C": [add("X-A", "b")]}, "add_field where a decision is due"),
    "skip where it is not allowed": ({"H": [b"s"]}, "skip where a decision is due"),
    "a field without end": ({"E": [b"hX-A\0b"]}, "a text without end"),
    "a quarantine without end": ({"E": [b"qodd"]}, "a text without end"),
    "a reply code that accepts": ({"E": [b"y250 ok\0"]}, "a reply code that is none"),
    "fields without end": ({"E": [add("X-A", "b")] * 10_001}, "without end"),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["accept", "defer"])
@pytest.mark.parametrize("row", FAILURES)
def test_failures(row, mode):
    answers, text = FAILURES[row]
    hangs = row == "hangs"
    with FakeMilter(answers) as server:
        clock, seconds = (SystemClock(), 0.05) if hangs else (FakeClock(), 30)
        finding = scan(server, clock=clock, timeout_seconds=seconds, on_failure=mode)
    assert (finding.action, finding.scan) == (Action(mode), Scan.FAILED)
    assert finding.reason.startswith("milter: ")
    assert text in finding.reason
    assert (finding.reply.code if finding.reply else 0) == (451 if mode == "defer" else 0)


def test_progress_gains_no_time():
    clock = FakeClock()

    def drip(server, connection):
        for _ in range(40):
            clock.advance(1)
            connection.sendall(pack(b"p"))
        server.hold(connection)

    with FakeMilter({"E": drip}) as server:
        finding = scan(server, clock=clock, timeout_seconds=30)
    assert finding.scan is Scan.FAILED
    assert "not done within 30 s" in finding.reason


def test_nobody_there():
    with FakeMilter() as server:
        server.close()
        finding = scan(server)
    assert finding.scan is Scan.FAILED
    assert "connection refused" in finding.reason


class Saying:
    """A connection on which a milter says this, whatever it is told."""

    def __init__(self, said):
        self.said = said

    def send(self, octets):
        pass

    def receive(self):
        octets, self.said = self.said[:7], self.said[7:]
        if not octets:
            raise Lost("the connection was closed")
        return octets

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


PACKETS = st.builds(
    lambda kind, data: pack(kind.encode() + data), st.sampled_from("cccartdyf4spqhimb+2-eO"), st.binary()
)


@given(st.lists(PACKETS, max_size=20).map(b"".join) | st.binary(), st.integers(0, 0x1FFFFF), st.booleans())
def test_any_octets_give_a_finding(said, steps, negotiates):
    milter = door.Milter(FilterConfig(milter="unix:/none"), FakeClock(), None)
    first = pack(b"O" + struct.pack(">III", 6, 0, steps)) if negotiates else b""
    milter._open = lambda limit: Saying(first + said)
    finding = GuardedFilter(milter, FilterConfig()).scan(new_message())
    assert (finding.reply is not None) == (finding.action in (Action.DEFER, Action.REJECT))
    assert b"\r\n\r\n" not in b"\r\n" + finding.fields
