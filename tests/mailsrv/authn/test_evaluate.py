"""All checks of one message: their order, and what is told to an Ask that wants to know whose turn it is."""

import pytest

from mailsrv.authn.evaluate import Watched, evaluate
from mailsrv.authn.findings import Result, Subject
from mailsrv.mail.address import Address
from mailsrv.mail.header import scan
from mailsrv.system.dns_values import Answer, Budget
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver

ZONE = """\
far.example TXT v=spf1 a -all
far.example A 192.0.2.7
_dmarc.far.example TXT v=DMARC1; p=reject
7.2.0.192.in-addr.arpa PTR far.example
"""
HEADER = scan(b"From: a@far.example\r\n\r\n", True)
SUBJECT = Subject("192.0.2.7", "far.example", Address("a", "far.example"), HEADER, list)


class Watch(Watched):
    def __init__(self, ask) -> None:
        self.ask = ask
        self.check = ""
        self.asked: list[tuple[str, str, str]] = []
        self.begun: list[str] = []

    def __call__(self, name: str, kind: str) -> Answer:
        self.asked.append((self.check, name, kind))
        return self.ask(name, kind)

    def begin(self, check: str) -> None:
        self.check = check
        self.begun.append(check)


def test_each_question_is_known_by_its_check() -> None:
    watch = Watch(FakeResolver(ZONE).query)
    findings = evaluate(SUBJECT, watch, 0, "mx.example.org", 10)
    assert findings.dmarc.result is Result.PASS
    assert watch.begun == ["spf", "dkim", "dmarc", "arc", "iprev"]
    assert watch.asked == [
        ("spf", "far.example", "TXT"),
        ("spf", "far.example", "A"),
        ("dmarc", "_dmarc.far.example", "TXT"),
        ("iprev", "7.2.0.192.in-addr.arpa", "PTR"),
        ("iprev", "far.example", "A"),
    ]


def test_being_watched_changes_nothing() -> None:
    ask = FakeResolver(ZONE).query
    assert evaluate(SUBJECT, ask, 0, "mx.example.org", 10) == evaluate(SUBJECT, Watch(ask), 0, "mx.example.org", 10)


def test_one_budget_for_all_and_the_weightiest_first() -> None:
    resolver, budget = FakeResolver(ZONE), Budget(3, 10, FakeClock())
    findings = evaluate(SUBJECT, lambda name, kind: resolver.query(name, kind, budget), 0, "mx.example.org", 10)
    assert findings.dmarc.result is Result.PASS
    assert findings.iprev.result is Result.TEMPERROR


def test_watched_is_to_be_filled_in() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Watched()  # type: ignore[abstract]
