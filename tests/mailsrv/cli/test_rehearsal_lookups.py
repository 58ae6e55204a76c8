"""The lookups of a rehearsal: kept as they were, and written as zone files have them."""

import pytest

from mailsrv.cli.rehearsal_lookups import FAILED, Lookup, Transcript, format_records
from mailsrv.system.dns_values import Budget, BudgetSpent, DnsFailure, MxRecord
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver

ZONE = """\
far.example TXT v=spf1 -all
far.example MX 10 mx.far.example
www.far.example CNAME mx.far.example
mx.far.example A 192.0.2.7
FAIL broken.example
"""


def test_questions_are_passed_on_and_kept() -> None:
    resolver, transcript = FakeResolver(ZONE), Transcript()
    ask = transcript.watch(resolver.query)
    ask.begin("spf")
    assert ask("far.example", "TXT").records == (b"v=spf1 -all",)
    ask("www.far.example", "A")
    ask.begin("dmarc")
    ask("far.example", "AAAA")
    ask("nothing.example", "TXT")
    ask.begin("spf")
    ask("far.example", "MX")
    assert transcript.lookups == [
        Lookup("spf", "far.example", "TXT", "found", ('"v=spf1 -all"',)),
        Lookup("spf", "www.far.example", "A", "found", ("192.0.2.7",), "mx.far.example"),
        Lookup("dmarc", "far.example", "AAAA", "no data of this type"),
        Lookup("dmarc", "nothing.example", "TXT", "no such name"),
        Lookup("spf", "far.example", "MX", "found", ("10 mx.far.example",)),
    ]
    assert {check: len(lookups) for check, lookups in transcript.by_check().items()} == {"spf": 3, "dmarc": 2}
    assert len(resolver.queries) == 5


def test_failures_are_kept_and_raised() -> None:
    resolver, transcript = FakeResolver(ZONE), Transcript()
    budget = Budget(1, 10, FakeClock())
    ask = transcript.watch(lambda name, kind: resolver.query(name, kind, budget))
    with pytest.raises(DnsFailure):
        ask("broken.example", "A")
    with pytest.raises(BudgetSpent):
        ask("far.example", "A")
    assert [one.status for one in transcript.lookups] == [FAILED, FAILED]
    assert transcript.lookups[1].lines() == ("failed: the budget of 1 DNS lookups is used up",)


@pytest.mark.parametrize(
    ("lookup", "lines"),
    [
        (Lookup("", "a", "A", "found", ("192.0.2.1", "192.0.2.2")), ("192.0.2.1", "192.0.2.2")),
        (Lookup("", "a", "A", "found", ("192.0.2.1",), "b"), ("alias of b", "192.0.2.1")),
        (Lookup("", "a", "A", "no such name", (), "b"), ("alias of b", "no such name")),
        (Lookup("", "a", "A", FAILED, failure="a A: silence"), ("failed: silence",)),
        (Lookup("", "a", "A", FAILED, failure="other words"), ("failed: other words",)),
    ],
)
def test_lines(lookup: Lookup, lines: tuple[str, ...]) -> None:
    assert lookup.lines() == lines


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (b"v=spf1", '"v=spf1"'),
        (b'a"b\\c', '"a\\"b\\\\c"'),
        (b"\x1b[2J\xff\x00", '"\\027[2J\\255\\000"'),
        (MxRecord(0, "."), "0 ."),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_records(record: object, text: str) -> None:
    assert format_records([record]) == [text]


def test_json() -> None:
    assert Lookup("spf", "a", "A", "found", ("192.0.2.1",), "b").to_json() == {
        "check": "spf", "name": "a", "type": "A", "status": "found", "records": ["192.0.2.1"], "alias": "b",
        "failure": "",
    }  # fmt: skip
