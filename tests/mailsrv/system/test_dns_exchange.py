import dns.flags
import dns.message
import pytest

from mailsrv.system.clock import SystemClock
from mailsrv.system.dns_exchange import Deadline, ServerFailure, exchange
from mailsrv.system.dns_servers import parse_nameserver
from mailsrv.system.dns_wire import EDNS_OCTETS, MAX_RECORDS, parse_name
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeDnsServer

ZONE = "example.org A 192.0.2.1\nexample.org TXT hello\n" + "".join(
    f"big.example.org TXT {'x' * 200}{number}\n" for number in range(20)
)


def ask(server, name="example.org", kind="A", seconds=10.0):
    return exchange(parse_nameserver(server.nameserver), parse_name(name), kind, Deadline(SystemClock(), seconds))


def addresses(response):
    return [record.value for record in response.message.answer]


def test_a_deadline():
    clock = FakeClock()
    deadline = Deadline(clock, 5)
    clock.advance(3)
    assert deadline.left() == deadline.wait() == 2
    clock.advance(2)
    assert deadline.left() == 0
    with pytest.raises(TimeoutError):
        deadline.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_udp(host):
    with FakeDnsServer(ZONE, host=host) as server:
        response = ask(server)
    assert addresses(response) == ["192.0.2.1"]
    assert str(response.server) == server.nameserver
    assert server.queries == [("udp", "example.org", "A")]


def test_what_is_asked(monkeypatch):
    seen = []
    with FakeDnsServer(ZONE) as server:
        honest = server._answers

        def answers(octets, transport):
            seen.append(dns.message.from_wire(octets))
            return honest(octets, transport)

        monkeypatch.setattr(server, "_answers", answers)
        for _ in range(4):
            ask(server)
    (query, *_) = seen
    assert dns.flags.to_text(query.flags) == "RD AD"
    assert (query.edns, query.payload, query.ednsflags) == (0, EDNS_OCTETS, 0)
    assert len({query.id for query in seen}) > 1


def test_tcp_after_truncation():
    with FakeDnsServer(ZONE) as server:
        response = ask(server, "big.example.org", "TXT")
    assert len(response.message.answer) == 20
    assert response.message.octets > EDNS_OCTETS
    assert [query[0] for query in server.queries] == ["udp", "tcp"]


def test_forged_answers_are_passed_over():
    with FakeDnsServer(ZONE, {"*": "forgeries first"}) as server:
        assert addresses(ask(server)) == ["192.0.2.1"]
    assert [query[0] for query in server.queries] == ["udp"]


def test_many_forged_answers_lead_to_tcp():
    with FakeDnsServer(ZONE, {"*": "many forgeries"}) as server:
        assert addresses(ask(server)) == ["192.0.2.1"]
    assert [query[0] for query in server.queries] == ["udp", "tcp"]


def test_a_server_older_than_edns():
    with FakeDnsServer(ZONE, {"*": "no edns"}) as server:
        assert addresses(ask(server)) == ["192.0.2.1"]
    assert len(server.queries) == 2


# Behaviour -> what the failure says of the server; None: that it is silent.
FAILURES = {
    "silent": None,
    "wrong id": None,
    "wrong question": None,
    "question back": None,
    "slow drip": None,
    "servfail": "answers SERVFAIL",
    "refuse": "answers REFUSED",
    "truncated twice": "truncates its answer over TCP too",
    "garbage": "malformed answer",
    "compression loop": "malformed answer",
    "bad record": "malformed answer",
    "records missing": "malformed answer",
    "huge": f"4000 records, more than 1 and {MAX_RECORDS}",
    "empty tcp": "answers other questions",
    "closed tcp": "closed the connection",
    "referral": "refers to others",
}


@pytest.mark.parametrize("behaviour", FAILURES)
def test_failures(behaviour):
    says = FAILURES[behaviour]
    with FakeDnsServer(ZONE, {"*": behaviour}) as server:
        with pytest.raises(ServerFailure) as caught:
            ask(server, seconds=10.0 if says else 0.2)
    assert (says or "is silent") in str(caught.value)
    assert server.nameserver in str(caught.value)
    assert caught.value.silent == (says is None)
    assert caught.value.away == (says is None or behaviour == "closed tcp")


def test_nobody_listens():
    with FakeDnsServer(ZONE) as server:
        pass
    with pytest.raises(ServerFailure, match="Connection refused") as caught:
        ask(server)
    assert caught.value.away
    assert not caught.value.silent


def test_no_time():
    with FakeDnsServer(ZONE) as server:
        with pytest.raises(ServerFailure, match="is silent"):
            ask(server, seconds=0.0)
    assert server.queries == []
