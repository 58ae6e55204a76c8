"""The walk as a table: a zone, a next hop, the hosts that are offered in turn, and what it means when all of them fail.

In a row's `walk`, hosts are their addresses (`!` before those without TLS); in `ends`, how each of them fails: t not
now, p never, s its TLS. The last failure repeats.
"""

from dataclasses import dataclass

import pytest

from mailsrv.config.schema import Config, ListenerConfig, QueueConfig
from mailsrv.deliver.hosts import MAX_ADDRESSES, MAX_ANSWERS, MAX_HOSTS, Fault, Host, HostWalk, Ourselves
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.mail.outcome import Status
from mailsrv.mail.reply import Reply
from mailsrv.system.dns_values import Budget
from mailsrv.transport.level import Level
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.entropy import FakeEntropy

OWN = {"192.0.2.99", "2001:db8::99", "127.0.0.1"}
US = Ourselves(frozenset({"mail.example.org", "out.example.org"}), frozenset({25}), OWN.__contains__)

TWO = """
    a.example     MX 20 second.example
    a.example     MX 10 first.example
    first.example  A 192.0.2.1
    second.example A 192.0.2.2
"""
EQUAL = """
    a.example    MX 10 one.example
    a.example    MX 10 two.example
    one.example  A 192.0.2.1
    two.example  A 192.0.2.2
"""

FAULTS = {"t": Fault.TEMPORARY, "p": Fault.PERMANENT, "s": Fault.TLS}
REPLIES = {"t": Reply(421, "4.3.2", "busy"), "p": Reply(554, "5.3.2", "no"), "s": Reply(451, "4.7.5", "handshake")}


@dataclass(frozen=True)
class Row:
    """One walk. `hop`: host, or kind:host, * behind it for one of the configuration."""

    name: str
    zone: str
    walk: str
    verdict: str
    ends: str = "t"
    hop: str = "a.example"
    level: Level = Level.MAY


ROWS = [
    # the DNS's answers
    Row("no such domain", "b.example A 192.0.2.1", "", "failed 550 5.1.2 does not exist"),
    Row("no such subdomain", "a.example A 192.0.2.1", "", "failed 550 5.1.2 does not exist", hop="x.a.example"),
    Row("null MX", "a.example MX 0 .", "", "failed 556 5.1.10 does not accept mail"),
    Row("null MX of any preference", "a.example MX 10 .\na.example A 192.0.2.1", "", "failed 556 5.1.10 null MX"),
    Row("no null MX beside another", TWO + "a.example MX 0 .", "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy"),
    Row("MX lookup fails", "FAIL a.example MX\na.example A 192.0.2.1", "", "delayed 451 4.4.3 cannot be found"),
    Row("implicit MX", "a.example A 192.0.2.1", "192.0.2.1", "delayed 421 4.3.2 busy"),
    Row("implicit MX, IPv6 only", "a.example AAAA 2001:db8::1", "2001:db8::1", "delayed 421 4.3.2 busy"),
    Row("neither MX nor address", "a.example TXT x", "", "failed 550 5.1.2 neither a mail server nor an address"),
    Row("implicit MX, addresses fail", "a.example TXT x\nFAIL a.example A\nFAIL a.example AAAA", "",
        "delayed 451 4.4.3 the address of a.example"),
    Row("implicit MX, A fails", "FAIL a.example A\na.example AAAA 2001:db8::1", "2001:db8::1", "delayed 421 4.3.2"),
    Row("alias of a domain", "a.example CNAME b.example\nb.example MX 1 m.example\nm.example A 192.0.2.3", "192.0.2.3",
        "delayed 421 4.3.2 busy"),
    # MX hosts
    Row("by preference", TWO, "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy"),
    Row("first host without address", TWO.replace("first.example  A", "other.example A"), "192.0.2.2", "delayed 421"),
    Row("first host's addresses fail", TWO + "FAIL first.example", "192.0.2.2", "delayed 421 4.3.2 busy"),
    Row("no MX host exists", "a.example MX 1 m.example\na.example A 192.0.2.1", "", "failed 550 5.4.4 does not exist"),
    Row("no MX host has an address", "a.example MX 1 m.example\nm.example TXT x", "", "failed 550 5.4.4 no address"),
    Row("one does not exist, one fails", "a.example MX 1 m.example\na.example MX 2 n.example\nFAIL n.example", "",
        "delayed 451 4.4.3 n.example"),
    Row("one fails, one does not exist", "a.example MX 2 m.example\na.example MX 1 n.example\nFAIL n.example", "",
        "delayed 451 4.4.4 m.example"),
    Row("families in turn, IPv4 first", "a.example MX 1 m.example\nm.example A 192.0.2.1\nm.example AAAA 2001:db8::1",
        "192.0.2.1 2001:db8::1", "delayed 421 4.3.2 busy"),
    Row("A fails", "a.example MX 1 m.example\nFAIL m.example A\nm.example AAAA 2001:db8::1", "2001:db8::1",
        "delayed 421 4.3.2"),
    Row("twice the same MX", TWO + "a.example MX 10 first.example", "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy"),
    # failures
    Row("all refuse for ever", TWO, "192.0.2.1 192.0.2.2", "failed 554 5.3.2 no second.example [192.0.2.2]", "pp"),
    Row("one for ever, one for now", TWO, "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy second.example", "pt"),
    Row("one for now, one for ever", TWO, "192.0.2.1 192.0.2.2", "delayed 451 4.3.2 no second.example", "tp"),
    Row("TLS fails: next host, then without", TWO, "192.0.2.1 192.0.2.2 !192.0.2.1", "delayed 421 4.3.2", "stt"),
    Row("TLS fails everywhere", TWO, "192.0.2.1 192.0.2.2 !192.0.2.1 !192.0.2.2", "delayed 451 4.7.5", "ssss"),
    Row("TLS fails where it is demanded", TWO, "192.0.2.1 192.0.2.2", "delayed 451 4.7.5", "s", level=Level.ENCRYPT),
    Row("TLS fails, for ever without", TWO, "192.0.2.1 192.0.2.2 !192.0.2.1", "delayed 451 4.3.2 no", "spp"),
    # loops
    Row("we are the best MX", "a.example MX 1 mail.example.org", "", "failed 550 5.4.6 comes back"),
    Row("we are one of the best", EQUAL + "a.example MX 10 out.example.org", "", "failed 550 5.4.6 comes back"),
    Row("we are second", TWO + "a.example MX 20 mail.example.org", "192.0.2.1", "delayed 421 4.3.2 busy"),
    Row("we are third", TWO + "a.example MX 30 mail.example.org", "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy"),
    Row("an MX has our address", TWO.replace("A 192.0.2.1", "A 192.0.2.99"), "", "failed 550 5.4.6 comes back"),
    Row("an MX has our IPv6 address too", TWO + "second.example AAAA 2001:db8::99", "192.0.2.1", "delayed 421"),
    Row("an equal MX has our address", EQUAL + "two.example A 192.0.2.99", "", "failed 550 5.4.6 comes back"),
    Row("implicit MX is us", "a.example A 127.0.0.1", "", "failed 550 5.4.6 comes back"),
    Row("our address on another port", "a.example A 127.0.0.1", "127.0.0.1", "delayed 421", hop="a.example:26"),
    # literals and routes
    Row("literal", "", "192.0.2.7", "delayed 421 4.3.2 busy [192.0.2.7] [192.0.2.7]", hop="[192.0.2.7]"),
    Row("literal for ever", "", "192.0.2.7", "failed 554 5.3.2 no", "p", hop="[192.0.2.7]"),
    Row("IPv6 literal", "", "2001:db8::7", "delayed 421 4.3.2 busy", hop="[ipv6:2001:db8::7]"),
    Row("our literal", "", "", "failed 550 5.4.6 comes back", hop="[192.0.2.99]"),
    Row("odd literal", "", "", "failed 550 5.1.2 no address", hop="[x400:y]"),
    Row("smarthost, without MX lookup", TWO + "a.example A 192.0.2.5", "192.0.2.5", "delayed 421 4.3.2",
        hop="smtp:a.example*"),
    Row("smarthost by address, ours", "", "127.0.0.1", "delayed 421 4.3.2 busy", hop="smtp:127.0.0.1*"),
    Row("smarthost refuses for ever", "", "192.0.2.5", "delayed 451 4.3.2 no", "p", hop="smtp:192.0.2.5*"),
    Row("smarthost does not exist", "", "", "delayed 451 4.4.4 routed", hop="smtp:a.example*"),
    Row("smarthost's address fails", "FAIL a.example", "", "delayed 451 4.4.3", hop="smtp:a.example*"),
    Row("routed to the MX of a domain", TWO, "192.0.2.1 192.0.2.2", "delayed 421 4.3.2 busy", hop="a.example*"),
    Row("routed to a domain without mail", "a.example MX 0 .", "", "delayed 451 4.1.10 null MX", hop="a.example*"),
    Row("routed to no domain", "", "", "delayed 451 4.1.2 does not exist", hop="a.example*"),
    Row("LMTP host", "a.example AAAA ::1", "::1", "delayed 421 4.3.2 busy", hop="lmtp:a.example*"),
    Row("LMTP socket", "", "/run/lmtp", "delayed 421 4.3.2 busy /run/lmtp", hop="lmtp_unix:/run/lmtp*"),
    Row("an account", "", "", "delayed 451 4.3.5 account:alice", hop="local:alice"),
]  # fmt: skip


def make_hop(row: Row) -> NextHop:
    text = row.hop.removesuffix("*")
    kind, port = HopKind.DIRECT, 25
    for one in HopKind:
        if text.startswith(f"{one.value}:"):
            kind, text = one, text.removeprefix(f"{one.value}:")
    if text.endswith(":26"):
        port, text = 26, text.removesuffix(":26")
    return NextHop(kind, text, port, row.level, configured=row.hop.endswith("*"))


def make_walk(zone: str, hop: NextHop, budget: Budget | None = None) -> HostWalk:
    return HostWalk(FakeResolver(zone), hop, US, FakeEntropy().below, budget)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_walk(row: Row) -> None:
    walk = make_walk(row.zone, make_hop(row))
    offered = []
    while (host := walk.next_host()) is not None:
        end = row.ends[min(len(offered), len(row.ends) - 1)]
        offered.append("!" * host.plain + host.address)
        walk.failed(host, FAULTS[end], REPLIES[end], by_peer=end != "s")
    assert offered == row.walk.split()
    verdict = walk.verdict
    status, code, enhanced, *words = row.verdict.split(" ", 3) + [""] * (3 - row.verdict.count(" "))
    assert (verdict.status, str(verdict.reply.code)) == (Status(status), code)
    assert verdict.reply.enhanced.startswith(enhanced)
    said = f"{verdict.reply.text} {verdict.host}"
    assert "".join(words) in said
    assert walk.next_host() is None, "the end is the end"


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 30
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_equal_hosts_share_the_load() -> None:
    entropy, first = FakeEntropy(), {"192.0.2.1": 0, "192.0.2.2": 0}
    for _ in range(200):
        walk = HostWalk(FakeResolver(EQUAL), NextHop(HopKind.DIRECT, "a.example", 25), US, entropy.below)
        host = walk.next_host()
        assert host is not None
        first[host.address] += 1
    assert min(first.values()) > 60


def test_nothing_is_looked_up_before_it_is_needed() -> None:
    resolver = FakeResolver(TWO)
    walk = HostWalk(resolver, NextHop(HopKind.DIRECT, "a.example", 25), US, FakeEntropy().below)
    assert resolver.queries == []
    host = walk.next_host()
    assert host == Host("first.example", "192.0.2.1", 25, 10)
    assert str(host) == "first.example [192.0.2.1]"
    assert ("second.example", "A") not in resolver.queries


def many(hosts: int, addresses: int) -> str:
    lines = [f"a.example MX {at} m{at}.example" for at in range(hosts)]
    lines += [f"m{at}.example A 10.0.{at}.{one + 1}" for at in range(hosts) for one in range(addresses)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("hosts", "addresses", "offered"), [(60, 1, MAX_HOSTS), (9, 9, MAX_ADDRESSES), (1, 100, 5), (3, 5, 15)]
)
def test_a_walk_is_bounded_whatever_is_published(hosts: int, addresses: int, offered: int) -> None:
    walk = make_walk(many(hosts, addresses), NextHop(HopKind.DIRECT, "a.example", 25))
    count = 0
    while (host := walk.next_host()) is not None:
        count += 1
        walk.failed(host, Fault.TEMPORARY, Reply(451, "4.4.1", "timed out"))
    assert count == offered
    assert walk.verdict.host == "", "nobody has said it but us"


def test_it_does_not_ask_everybody_for_the_same_refusal() -> None:
    walk = make_walk(many(10, 1), NextHop(HopKind.DIRECT, "a.example", 25))
    count = 0
    while (host := walk.next_host()) is not None:
        count += 1
        walk.failed(host, Fault.TEMPORARY, Reply(451, "4.7.1", "greylisted"), by_peer=True)
    assert count == MAX_ANSWERS
    assert walk.verdict.reply.text == "greylisted"


def test_a_host_that_spoke_is_quoted_before_one_that_was_silent() -> None:
    walk = make_walk(TWO, NextHop(HopKind.DIRECT, "a.example", 25))
    for reply, by_peer in ((Reply(452, "4.2.2", "full"), True), (Reply(451, "4.4.1", "timed out"), False)):
        host = walk.next_host()
        assert host is not None
        walk.failed(host, Fault.TEMPORARY, reply, by_peer)
    assert (walk.verdict.reply.text, walk.verdict.host) == ("full", "first.example [192.0.2.1]")


def test_a_spent_budget_is_temporary() -> None:
    walk = make_walk(TWO, NextHop(HopKind.DIRECT, "a.example", 25), Budget(1, 10, FakeClock()))
    assert walk.next_host() is None
    assert walk.verdict.status is Status.DELAYED
    assert walk.verdict.reply.enhanced == "4.4.3"


@pytest.mark.parametrize(
    ("signed", "walk_proven", "host_proven"),
    [
        ("", False, False),
        ("AUTHENTIC a.example", True, False),
        ("AUTHENTIC first.example", False, False),
        ("AUTHENTIC a.example\nAUTHENTIC first.example", True, True),
    ],
)
def test_a_host_is_proven_only_with_the_way_to_it(signed: str, walk_proven: bool, host_proven: bool) -> None:
    walk = make_walk(TWO + signed, NextHop(HopKind.DIRECT, "a.example", 25))
    host = walk.next_host()
    assert host is not None
    assert (walk.authentic, host.authentic) == (walk_proven, host_proven)


def test_who_we_are() -> None:
    config = Config(
        "Mail.example.org",
        "/d",
        queue=QueueConfig(helo_name="out.example.org"),
        listeners=[ListenerConfig("smtp", port=2525), ListenerConfig("submission"), ListenerConfig("lmtp", "/run/x")],
    )
    us = Ourselves.from_config(config, OWN.__contains__)
    assert (us.names, us.ports) == (US.names, {2525})
    assert us.is_here("mail.example.org", [], 25)
    assert us.is_here("x.example", ["192.0.2.1", "192.0.2.99"], 2525)
    assert not us.is_here("x.example", ["192.0.2.99"], 25)
    assert not us.is_here("x.example", ["192.0.2.1"], 2525)
