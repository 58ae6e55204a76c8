import itertools
import threading
import time

import pytest

from mailsrv.errors import GrammarError
from mailsrv.system.clock import SystemClock
from mailsrv.system.dns import (
    FAILURE_SECONDS,
    Budget,
    BudgetSpent,
    DnsFailure,
    DnsResolver,
    MxRecord,
    Nameserver,
    Status,
    TlsaRecord,
    _read_name,
    parse_nameserver,
    plan_tries,
)
from mailsrv.system.dns_wire import READERS
from tests.fakes.clock import FakeClock
from tests.fakes.dns import BEHAVIOURS, FakeDnsServer, FakeResolver

ZONE = """
; two domains, one of them signed
example.org          MX    10 MX.example.org.
example.org          MX    20 backup.example.net
example.org          TXT   v=spf1 mx -all
example.org          TXT   "two " "strings; and \\"quotes\\""
mx.example.org       A     192.0.2.1
mx.example.org       AAAA  2001:DB8::1
_25._tcp.mx.example.org TLSA 3 1 1 00ff
www.example.org      CNAME web.example.org
web.example.org      CNAME mx.example.org
out.example.org      CNAME host.example.net
host.example.net     A     192.0.2.9
nowhere.example.org  CNAME missing.example.net
a.b.example.net      A     192.0.2.10
circle.example.net   CNAME circle.example.net
example.com          MX    0 .
1.2.0.192.in-addr.arpa PTR mx.example.org
FAIL broken.example
FAIL host.example.net AAAA
AUTHENTIC example.org
"""

QUICK = 0.3  # seconds for lookups that end by running out of them
LONG = 10.0


def resolver(*servers, timeout=LONG, clock=None, **more):
    return DnsResolver([server.nameserver for server in servers], timeout, clock or SystemClock(), **more)


def ask(resolver, name, kind):
    """What an answer says without its time, or the class of the failure."""
    try:
        answer = resolver.query(name, kind)
    except DnsFailure:
        return DnsFailure
    return answer.status, sorted(answer.records, key=repr), answer.authentic, answer.canonical


NAMES = [
    "example.org",
    "Example.ORG.",
    "mx.example.org",
    "_25._tcp.mx.example.org",
    "www.example.org",
    "out.example.org",
    "host.example.net",
    "nowhere.example.org",
    "b.example.net",
    "circle.example.net",
    "example.com",
    "1.2.0.192.in-addr.arpa",
    "broken.example",
    "unknown.example",
    "a..b",
    "bücher.example",
]


@pytest.mark.parametrize("behaviour", ["", "partial", "truncated"])
def test_the_fake_resolver_says_what_the_real_one_does(behaviour):
    fake = FakeResolver(ZONE)
    with FakeDnsServer(ZONE, {"*": behaviour}) as server:
        real = resolver(server)
        for name, kind in itertools.product(NAMES, READERS):
            if behaviour != "partial" or fake.zone.exists(name.lower()):
                assert ask(real, name, kind) == ask(fake, name, kind), (name, kind)


def test_answers():
    with FakeDnsServer(ZONE) as server:
        real = resolver(server)
        assert set(real.query("example.org", "MX").records) == {
            MxRecord(10, "mx.example.org"),
            MxRecord(20, "backup.example.net"),
        }
        assert set(real.query("example.org", "TXT").records) == {b"v=spf1 mx -all", b'two strings; and "quotes"'}
        assert real.query("_25._tcp.mx.example.org", "TLSA").records == (TlsaRecord(3, 1, 1, b"\0\xff"),)
        assert real.query("www.example.org", "AAAA").records == ("2001:db8::1",)
        assert real.query("www.example.org", "CNAME").records == ("web.example.org",)
        assert real.query("1.2.0.192.in-addr.arpa", "PTR").records == ("mx.example.org",)
        assert real.query("example.com", "MX").records == (MxRecord(0, "."),)
        assert real.query("www.example.org", "A").canonical == "mx.example.org"
        assert real.query("example.org", "A").status is Status.NO_DATA
        assert real.query("b.example.net", "A").status is Status.NO_DATA
        assert real.query("unknown.example", "A").status is Status.NO_NAME


# What a server does with the question -> the addresses that are believed, an empty answer, or what the failure says.
HOSTILE = {
    "truncated": ("192.0.2.1",),
    "forgeries first": ("192.0.2.1",),
    "many forgeries": ("192.0.2.1",),
    "strangers": ("192.0.2.1",),
    "no edns": ("192.0.2.1",),
    "forged ad": ("192.0.2.1",),
    "partial": ("192.0.2.1",),
    "soa of others": Status.NO_DATA,
    "bare": Status.NO_DATA,
    "empty txt": Status.NO_DATA,
    "odd txt": Status.NO_DATA,
    "silent": "is silent",
    "wrong id": "is silent",
    "wrong question": "is silent",
    "question back": "is silent",
    "slow drip": "is silent",
    "servfail": "answers SERVFAIL",
    "refuse": "answers REFUSED",
    "truncated twice": "truncates",
    "garbage": "malformed",
    "compression loop": "malformed",
    "bad record": "malformed",
    "records missing": "malformed",
    "huge": "4000 records",
    "empty tcp": "answers other questions",
    "closed tcp": "closed the connection",
    "referral": "refers to others",
    "loop": "in a circle at a.loop",
    "endless": "more than 10 aliases",
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_hostile_servers(behaviour):
    """An answer to our question or a failure in time: no hang, no other answer."""
    expected = HOSTILE[behaviour]
    timeout = QUICK if expected == "is silent" else LONG
    with FakeDnsServer(ZONE, {"*": behaviour}) as server:
        real = resolver(server, timeout=timeout)
        began = time.monotonic()
        if isinstance(expected, str):
            with pytest.raises(DnsFailure, match=expected) as caught:
                real.query("mx.example.org", "A")
            assert str(caught.value).startswith("mx.example.org A: ")
        elif isinstance(expected, Status):
            assert real.query("mx.example.org", "A").status is expected
        else:
            assert real.query("mx.example.org", "A").records == expected
        assert time.monotonic() - began < 5
        server.misbehave = {}
        assert real.query("victim.example", "A").status is Status.NO_NAME


def test_odd_strings():
    with FakeDnsServer(ZONE, {"example.org": "odd txt", "mx.example.org": "empty txt"}) as server:
        real = resolver(server)
        assert real.query("example.org", "TXT").records == (b'\0\xff\n;"',)
        with pytest.raises(DnsFailure, match="malformed"):
            real.query("mx.example.org", "TXT")


def test_names_that_cannot_be_are_not_asked_for():
    with FakeDnsServer(ZONE) as server:
        real = resolver(server)
        for name in ("", "a..b", ".a", "a" * 64, "a." * 130, "bücher.example", "\u212a.example"):
            answer = real.query(name, "A")
            assert (answer.status, answer.records, answer.authentic) == (Status.NO_NAME, (), False)
        assert server.queries == []
        with pytest.raises(BudgetSpent, match=r"'b\\xfccher' A: "):
            real.query("bücher", "A", Budget(0, 1, SystemClock()))


def test_long_texts_are_not_remembered():
    with FakeDnsServer(ZONE) as server:
        before = _read_name.cache_info().misses
        assert resolver(server).query("x." * 100_000, "A").status is Status.NO_NAME
        assert _read_name.cache_info().misses == before
        assert server.queries == []


def test_what_cannot_be_asked():
    with pytest.raises(ValueError, match="SRV"):
        DnsResolver([], 1, FakeClock()).query("example.org", "SRV")
    with pytest.raises(GrammarError, match='"localhost" is no IP address'):
        DnsResolver(["localhost"], 1, FakeClock())


def test_a_failures_text_is_fit_for_a_log():
    with FakeDnsServer("", {"*": "servfail"}) as server:
        with pytest.raises(DnsFailure) as caught:
            resolver(server).query("a\r\nb\x1b[.example", "A")
    assert str(caught.value) == rf"a\013\010b\027[.example A: {server.nameserver} answers SERVFAIL"


# The cache


def asked(server):
    """How many questions came since the last look."""
    count = len(server.queries)
    server.queries.clear()
    return count


@pytest.mark.parametrize(
    ("zone", "name", "seconds"),
    [
        ("TTL 60\na.example A 192.0.2.1", "a.example", 60),
        ("TTL 60\na.example A 192.0.2.1", "A.Example.", 60),
        ("TTL 900\nb.example A 192.0.2.1\nTTL 60\na.example CNAME b.example", "a.example", 60),
        ("TTL 999999\na.example A 192.0.2.1", "a.example", 86_400),
        ("TTL 60\na.example TXT x", "a.example", 60),
        ("TTL 60", "a.example", 60),
        ("TTL 999999", "a.example", 10_800),
        ("FAIL a.example", "a.example", FAILURE_SECONDS),
    ],
)
def test_what_was_heard_is_kept_as_long_as_it_holds(zone, name, seconds):
    clock = FakeClock()
    with FakeDnsServer(zone) as server:
        real = resolver(server, clock=clock)
        first = ask(real, "a.example", "A")
        assert asked(server) == 1
        clock.advance(seconds - 1)
        assert ask(real, name, "A") == first
        assert asked(server) == 0
        clock.advance(1)
        assert ask(real, name, "A") == first
        assert asked(server) == 1


def test_types_are_kept_apart_and_nothing_is_kept_with_ttl_0():
    with FakeDnsServer("a.example A 192.0.2.1\nTTL 0\nb.example A 192.0.2.1") as server:
        real = resolver(server, clock=FakeClock())
        ask(real, "a.example", "A")
        ask(real, "a.example", "AAAA")
        assert asked(server) == 2
        answers = [real.query("b.example", "A") for _ in range(3)]
        assert asked(server) == 3
        assert {answer.expires for answer in answers} == {FakeClock().monotonic()}


def test_the_cache_is_bounded():
    with FakeDnsServer("".join(f"n{number}.example A 192.0.2.1\n" for number in range(6))) as server:
        real = resolver(server, clock=FakeClock(), cache_entries=3)
        for number in range(6):
            real.query(f"n{number}.example", "A")
        server.queries.clear()
        for number in (5, 4, 3, 2):
            real.query(f"n{number}.example", "A")
        assert [name for _, name, _ in server.queries] == ["n2.example"]


def test_a_large_answer_is_given_but_not_kept():
    text = "".join(f"big.example TXT {number}{'x' * 180}\n" for number in range(100))
    with FakeDnsServer(text) as server:
        real = resolver(server, clock=FakeClock())
        for _ in range(2):
            assert len(real.query("big.example", "TXT").records) == 100
        assert asked(server) == 4


# Threads


def together(*calls):
    results = [None] * len(calls)

    def run(place, call):
        results[place] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, results


def test_threads_share_one_question():
    with FakeDnsServer(ZONE) as server:
        real = resolver(server)
        server.gate.clear()
        threads, results = together(*[lambda: ask(real, "mx.example.org", "A")] * 20)
        server.gate.set()
        for thread in threads:
            thread.join(30)
    assert results == [(Status.FOUND, ["192.0.2.1"], True, "mx.example.org")] * 20
    assert len(server.queries) == 1


def test_threads_share_one_failure():
    with FakeDnsServer(ZONE) as server:
        real = resolver(server)
        server.gate.clear()
        threads, results = together(*[lambda: ask(real, "broken.example", "A")] * 20)
        server.gate.set()
        for thread in threads:
            thread.join(30)
    assert results == [DnsFailure] * 20
    assert len(server.queries) == 1


def test_many_threads_with_many_names():
    zone = "".join(f"n{number}.example A 192.0.2.{number}\n" for number in range(40))
    with FakeDnsServer(zone) as server:
        real = resolver(server, cache_entries=15)

        def work(start):
            for step in range(40):
                number = (start * 7 + step) % 40
                answer = real.query(f"n{number}.example", "A")
                if answer.records != (f"192.0.2.{number}",):
                    return answer
            return None

        threads, results = together(*[lambda start=start: work(start) for start in range(12)])
        for thread in threads:
            thread.join(60)
    assert results == [None] * 12


# Several servers


def test_the_next_server_is_asked():
    for behaviour in ("servfail", "refuse", "garbage", "silent", "closed tcp", "referral"):
        with FakeDnsServer(ZONE, {"*": behaviour}) as bad, FakeDnsServer(ZONE) as good:
            real = resolver(bad, good, timeout=QUICK * 5 if behaviour == "silent" else LONG)
            assert real.query("mx.example.org", "A").records == ("192.0.2.1",)
            assert bad.queries


def test_a_server_that_is_gone_is_asked_last_for_a_while():
    clock = FakeClock()
    with FakeDnsServer(ZONE) as first, FakeDnsServer(ZONE) as second:
        real = resolver(first, second, clock=clock)
        first.close()
        assert real.query("mx.example.org", "A").records
        assert real.query("example.org", "MX").records
        assert len(second.queries) == 2
    assert [str(server) for server in real._servers.current()] == [second.nameserver, first.nameserver]


def test_every_server_is_heard_before_giving_up_and_none_twice_for_nothing():
    with FakeDnsServer(ZONE, {"*": "servfail"}) as one, FakeDnsServer(ZONE, {"*": "refuse"}) as two:
        with pytest.raises(DnsFailure) as caught:
            resolver(one, two).query("mx.example.org", "A")
    assert str(caught.value) == (
        f"mx.example.org A: {one.nameserver} answers SERVFAIL; {two.nameserver} answers REFUSED"
    )
    assert len(one.queries) == len(two.queries) == 1


def test_a_silent_server_is_asked_again():
    with FakeDnsServer(ZONE, {"*": "silent"}) as server:
        with pytest.raises(DnsFailure, match="is silent"):
            resolver(server, timeout=QUICK).query("mx.example.org", "A")
        assert len(server.queries) >= 2


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("seconds", [0.3, 5, 10, 30])
def test_the_plan(count, seconds):
    servers = [Nameserver("127.0.0.1", port, True) for port in range(1, count + 1)]
    tries = list(plan_tries(servers, seconds))
    assert [server for server, _ in tries[: 2 * count]] == servers * 2
    assert sum(patience for _, patience in tries[:count]) <= seconds / 2
    assert sum(patience for _, patience in tries) >= seconds


def test_the_systems_servers(tmp_path):
    path = tmp_path / "resolv.conf"
    with FakeDnsServer(ZONE) as server, FakeDnsServer("mx.example.org AAAA 2001:db8::7") as other:
        path.write_text(f"search example.org\nnameserver {server.nameserver}\n")
        real = resolver(resolv_conf=str(path))
        assert real.query("mx.example.org", "A").records == ("192.0.2.1",)
        assert real.query("mx", "A").status is Status.NO_NAME
        path.write_text(f"nameserver {other.nameserver}\n")
        assert real.query("mx.example.org", "AAAA").records == ("2001:db8::7",)


# Whom to believe


def distant(server, **more):
    """A resolver that takes the server for one that is not on loopback."""
    real = resolver(server, **more)
    at = parse_nameserver(server.nameserver)
    real._servers._configured = (Nameserver(at.address, at.port, False),)
    return real


def test_authentic():
    with FakeDnsServer(ZONE, {"host.example.net": "forged ad"}) as server:
        near, far, trusted = resolver(server), distant(server), distant(server, trust_ad=True)
        for name, signed in (
            ("mx.example.org", True),
            ("missing.example.org", True),
            ("host.example.net", True),
            ("out.example.org", False),
            ("example.com", False),
        ):
            assert near.query(name, "A").authentic is signed
            assert far.query(name, "A").authentic is False
            assert trusted.query(name, "A").authentic is signed


def test_one_link_that_is_not_signed_spoils_the_chain():
    with FakeDnsServer(ZONE, {"*": "partial"}) as server:
        answer = resolver(server).query("out.example.org", "A")
    assert (answer.records, answer.authentic, answer.canonical) == (("192.0.2.9",), False, "host.example.net")
    assert len(server.queries) == 2


# Budgets


@pytest.mark.parametrize("make", [FakeResolver, None])
def test_a_budget_of_lookups(make):
    with FakeDnsServer(ZONE) as server:
        real = make(ZONE) if make else resolver(server)
        budget = Budget(2, 60, FakeClock())
        for name in ("mx.example.org", "mx.example.org"):  # known by now: it counts all the same
            assert real.query(name, "A", budget).records
        with pytest.raises(BudgetSpent, match="mx.example.org A: the budget of 2 DNS lookups is used up"):
            real.query("mx.example.org", "A", budget)


def test_a_budget_of_seconds_is_its_owners_only():
    clock = SystemClock()
    with FakeDnsServer(ZONE, {"*": "silent"}) as server:
        real = resolver(server, clock=clock)
        budget = Budget(9, QUICK, clock)
        for _ in range(2):
            with pytest.raises(BudgetSpent, match="mx.example.org A: the budget of 0.3 seconds"):
                real.query("mx.example.org", "A", budget)
        # That there was no time says nothing about the name.
        server.misbehave = {}
        assert real.query("mx.example.org", "A").records == ("192.0.2.1",)


def test_a_servers_error_is_no_matter_of_budget():
    with FakeDnsServer(ZONE) as server:
        with pytest.raises(DnsFailure, match="SERVFAIL") as caught:
            resolver(server).query("broken.example", "A", Budget(9, 5, SystemClock()))
    assert not isinstance(caught.value, BudgetSpent)


def test_the_fake_counts_what_it_is_asked():
    fake = FakeResolver(ZONE)
    with pytest.raises(DnsFailure, match="broken.example MX"):
        fake.query("broken.example", "MX")
    with pytest.raises(ValueError, match="SRV"):
        fake.query("example.org", "SRV")
    assert fake.queries == [("broken.example", "MX"), ("example.org", "SRV")]
