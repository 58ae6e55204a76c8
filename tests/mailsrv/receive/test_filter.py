"""The door to a content filter: its bounds, its fail mode, and which fields may come on top."""

import pytest

from mailsrv.config.schema import FilterConfig
from mailsrv.errors import StorageError
from mailsrv.receive import filter as door
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.receive.filter import Action, Fields, FilterFailed, FilterFinding, GuardedFilter, Scan
from mailsrv.system.dns_values import DnsFailure
from mailsrv.system.net import Lost, TimedOut, Unreachable

from tests.fakes.clock import FakeClock
from tests.mailsrv.receive.filter_message import new_message


class Saying:
    """A scanner that finds or raises what it is told to."""

    name = "fake"

    def __init__(self, said):
        self.said = said
        self.asked = 0

    def scan(self, message):
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


FAILURES = [
    FilterFailed("it said\r\nnonsense"),
    Unreachable("no connection"),
    Lost("gone"),
    TimedOut("too slow"),
    DnsFailure("no answer"),
    StorageError("the disk does not give it back"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("mode", ["accept", "defer"])
def test_without_an_answer_the_configuration_decides(error, mode):
    finding = GuardedFilter(Saying(error), FilterConfig(on_failure=mode)).scan(new_message())
    assert (finding.action, finding.scan) == (Action(mode), Scan.FAILED)
    assert finding.reason == f"fake: {' '.join(str(error).split())}"
    assert str(finding.reply or "").startswith("451 4.7.1 " if mode == "defer" else "")
    assert (finding.reply is None) == (mode == "accept")


def test_an_answer_passes():
    said = FilterFinding(Action.JUNK, reason="spam")
    assert GuardedFilter(Saying(said), FilterConfig()).scan(new_message()) is said


def test_a_large_message_is_not_shown():
    scanner = Saying(FilterFinding(Action.JUNK))
    message = new_message(b"x" * 1000, b"")
    assert GuardedFilter(scanner, FilterConfig(size_bytes=1000)).scan(message).scan is Scan.DONE
    finding = GuardedFilter(scanner, FilterConfig(size_bytes=999, on_failure="defer")).scan(message)
    assert (finding.action, finding.scan, finding.reply) == (Action.ACCEPT, Scan.SKIPPED, None)
    assert "1000 octets" in finding.reason
    assert scanner.asked == 1


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (FilterConfig(), None),
        (FilterConfig(rspamd="http://127.0.0.1:11333"), "rspamd"),
        (FilterConfig(milter="unix:/run/none.sock"), "milter"),
    ],
)
def test_the_configuration_names_it(config, kind):
    made = make_filter(config, FakeClock())
    assert (made and made._scanner.name) == kind


FIELDS = {
    "plain": ("X-Spam", "Yes", b"X-Spam: Yes\r\n"),
    "empty": ("X-Spam", "", b"X-Spam:\r\n"),
    "folded": ("X-Spam", "a\r\n\tb\n c", b"X-Spam: a\r\n\tb\r\n c\r\n"),
    "injected field": ("X-Spam", "a\r\nBcc: x", b"X-Spam: a\r\n\tBcc: x\r\n"),
    "injected field by a bare CR": ("X-Spam", "a\rBcc: x", b"X-Spam: a\r\n\tBcc: x\r\n"),
    "injected body": ("X-Spam", "a\r\n\r\nbody", b"X-Spam: a\r\n\tbody\r\n"),
    "injected body by space": ("X-Spam", "a\r\n \t\r\nbody\n", b"X-Spam: a\r\n\tbody\r\n"),
    "controls": ("X-Spam", "a\0b\x7f\x85\u2028c", b"X-Spam: a?b???c\r\n"),
    "UTF-8": ("X-Spam", "gr\u00fcezi", b"X-Spam: gr?ezi\r\n"),
    "name with colon": ("X:Spam", "a", None),
    "name with space": ("X Spam", "a", None),
    "name with line end": ("X\r\nBcc", "a", None),
    "no name": ("", "a", None),
    "long name": ("X" * 77, "a", None),
    "long line": ("X-Spam", "a" * 991, None),
    "longest line": ("X-Spam", "a" * 990, b"X-Spam: " + b"a" * 990 + b"\r\n"),
    "long": ("X-Spam", "a\n" * 10_000, None),
    "second From": ("fRoM", "a@example.org", None),
    "results under another name": (
        "Authentication-Results", "milter.example; dkim=pass",
        b"Authentication-Results: milter.example; dkim=pass\r\n",
    ),
    "results under our name": ("Authentication-results", "(a) Here.Example 1;\n dkim=pass", None),
    "ours": ("Return-Path", "<a@example.org>", None),
}  # fmt: skip


@pytest.mark.parametrize("row", FIELDS)
def test_fields_on_top(row):
    name, value, octets = FIELDS[row]
    fields = Fields("here.example")
    fields.add(name, value)
    finding = fields.onto(FilterFinding(Action.ACCEPT))
    assert finding.fields == (octets or b"")
    assert bool(finding.ignored) == (octets is None)
    assert all(one.isprintable() for one in finding.ignored)


def test_fields_are_bounded():
    fields = Fields("here.example")
    for _ in range(100):
        fields.add("X-Spam", "Yes")
        fields.add("X-Long", ("a" * 900 + "\n") * 16)
    finding = fields.onto(FilterFinding(Action.JUNK))
    assert finding.fields.count(b"\r\nX-") < door.MAX_FIELDS
    assert len(finding.fields) <= door.FIELDS_LIMIT
    assert 0 < len(finding.ignored) <= door.MAX_FIELDS


def test_a_refused_message_gets_no_fields():
    fields = Fields("here.example")
    fields.add("X-Spam", "Yes")
    assert fields.onto(door.refusal(550, "5.7.1", "no", "")).fields == b""


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("spam\r\n250 ok", "spam 250 ok"),
        ("", "default"),
        ("\0\u00e4", "??"),
        ("x" * 10_000, "x" * door.REASON_LIMIT),
    ],
)
def test_a_refusal_is_one_clean_line(reason, text):
    finding = door.refusal(451, "4.7.1", reason, "default")
    assert (finding.action, finding.reason) == (Action.DEFER, text)
    assert finding.reply is not None
    assert str(finding.reply) == f"451 4.7.1 {text}"


def test_symbols_are_bounded():
    assert door.symbol("GTUBE", 1.5) == "GTUBE(1.50)"
    assert len(door.symbol("X" * 1000, -1)) <= door.SYMBOL_LIMIT
