"""The journal's lines: written, read, added up; torn ends and lines that are not ours."""

import json
import re

import pytest

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.history import (
    KINDS, MAX_REPLY, RECORDS, Attempt, Finished, History, Note, ReportNamed, ReportQueued, bounded, complete, decode,
    encode, encode_first, find_finish, find_pending, read_history,
)  # fmt: skip

from tests.house.manual import find_tags
from tests.house.source import TOP
from tests.mailsrv.spool.place import delayed, failed, relayed

NONCE = 0x0123456789ABCDEF
ENTRIES = [
    Attempt(1.5, (relayed(0), delayed(1)), 300.0),
    Attempt(2.0, (failed(1),)),
    Attempt(2.0),
    ReportNamed("dZJjly8m63W1", Kind.FAILED, (1,), 3.0),
    ReportQueued("dZJjly8m63W1", 4.0),
    Note("reroute", "smtp:relay.example:25", 5.0),
    Finished(6.0),
]


def journal(*entries):
    return encode_first(NONCE) + b"".join(map(encode, entries))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_what_is_written_is_read(entry):
    line = encode(entry)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert decode(line[:-1]) == entry


def test_the_lines_are_those_of_the_page():
    assert encode_first(NONCE) == b'{"version":1,"nonce":"0123456789abcdef"}\n'
    line = json.loads(encode(Attempt(1.5, (relayed(0),), 300.0)))
    assert line == {
        "attempt": {
            "at": 1.5,
            "outcomes": [
                {
                    "recipient": 0,
                    "status": "relayed",
                    "dsn": "2.0.0",
                    "reply": "taken",
                    "host": "mx.remote.example [192.0.2.1]",
                    "at": 5.0,
                }
            ],
            "next": 300.0,
        }
    }
    assert encode(Attempt(1.0)) == b'{"attempt":{"at":1.0}}\n'


def test_it_adds_up():
    history = read_history(journal(*ENTRIES), NONCE, 3)
    assert history.outcomes == {0: relayed(0), 1: failed(1)}
    assert (history.attempts, history.first_attempt, history.last_attempt) == (1, 1.5, 2.0)
    assert history.next_attempt == 300.0
    assert [report.id for report in history.reports] == ["dZJjly8m63W1"] and history.pending == []
    assert history.notes == [Note("reroute", "smtp:relay.example:25", 5.0)]
    assert history.finished == 6.0
    recipients = tuple(Recipient(Address(name, "x.example")) for name in "abc")
    assert history.waiting(Envelope("dZJjly8m63W0", 1.0, None, recipients)) == [2]


def test_a_final_outcome_stays():
    history = read_history(journal(Attempt(1.0, (failed(0),)), Attempt(2.0, (delayed(0),), 9.0)), NONCE, 1)
    assert history.outcomes == {0: failed(0)}


def test_attempts_are_counted_once_each():
    """However many lines an attempt took; a message that only waited for its turn was not tried."""
    entries = [Attempt(1.0, (relayed(0),)), Attempt(2.0, (delayed(1),)), Attempt(3.0, (), 9.0), Attempt(4.0, (), 12.0)]
    history = read_history(journal(*entries), NONCE, 2)
    assert (history.attempts, history.last_attempt, history.next_attempt) == (1, 2.0, 12.0)


def test_no_lines_are_no_history():
    assert read_history(b"", NONCE, 1) == History()
    assert read_history(encode_first(NONCE), NONCE, 1) == History()


@pytest.mark.parametrize("tail", [b"", b'{"attempt"', b"\0" * 4096, b'{"attempt"\0\0\0', b"x"])
def test_a_torn_end_does_not_count(tail):
    whole = journal(*ENTRIES)
    assert complete(whole + tail) == len(whole)


def test_a_torn_first_line():
    assert complete(encode_first(NONCE)[:-1]) == 0
    assert complete(b"\0\0\0") == 0


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (encode_first(NONCE + 1), "line 1: the nonce is not the queue file's: it is the journal of another message"),
        (b'{"version":2,"nonce":"0123456789abcdef"}\n', "line 1: version 2 is not known, only 1"),
        (b'{"version":true,"nonce":"0123456789abcdef"}\n', "line 1: version True is not known, only 1"),
        (b'{"nonce":"0123456789abcdef"}\n', "line 1: the first key must be version"),
        (b"hello\n", "not JSON"),
        (journal() + b"\n", "line 2: not JSON"),
        (journal() + b"[]\n", "line 2: not a JSON object"),
        (journal() + b"{}\n", "line 2: must have one key of attempt, report, reported, note, finished"),
        (journal() + b'{"attempt":{"at":1},"note":{}}\n', "line 2: must have one key"),
        (journal() + b'{"sent":{"at":1}}\n', "line 2: must have one key"),
        (journal() + b'{"attempt":{"at":1,"until":2}}\n', "line 2: attempt.until: unknown key"),
        (journal() + b'{"attempt":{}}\n', "line 2: attempt.at: missing"),
        (journal(Finished(1.0), Attempt(1.0, (relayed(3),))), "line 3: there is no recipient 3"),
        (journal(Attempt(1.0, (relayed(-1),))), "line 2: there is no recipient -1"),
        (journal(ReportNamed("x", Kind.FAILED, (0, 7), 1.0)), "line 2: there is no recipient 7"),
        (journal() + b'{"report":{"id":"x","kind":"lost","recipients":[0],"at":1}}\n', "'lost' is no kind of report"),
        (journal(Attempt(1.0, (relayed(0),))).replace(b"relayed", b"sent"), "'sent' is no status"),
    ],
)
def test_what_is_not_known_completely_is_refused(octets, complaint):
    with pytest.raises(GrammarError) as caught:
        read_history(octets, NONCE, 3)
    assert complaint in str(caught.value)


def test_long_replies_are_cut():
    short, long = Outcome(0, Status.FAILED, "5.0.0", "x" * MAX_REPLY), Outcome(1, Status.FAILED, "5.0.0", "y" * 9000)
    kept = bounded([short, long])
    assert kept[0] is short
    assert kept[1].reply == "y" * MAX_REPLY + "..."


def test_what_other_messages_ask_for():
    named = [ReportNamed(f"dZJjly8m63W{n}", Kind.FAILED, (0,), 1.0) for n in range(3)]
    # A reply that looks like a line is none.
    reply = Attempt(1.0, (Outcome(0, Status.FAILED, "5.0.0", '\n{"report":{"id":"evil"}}'),))
    octets = journal(reply, *named, ReportQueued(named[1].id, 2.0))
    assert find_pending(octets) == {named[0].id, named[2].id}
    assert find_pending(octets[:-5]) == {report.id for report in named}
    assert find_pending(b"") == set()


def test_when_a_message_was_finished():
    assert find_finish(journal(Attempt(1.0, (relayed(0),)), Finished(7.0))) == 7.0
    assert find_finish(journal(Finished(7.0)) + b'{"torn') == 7.0
    assert find_finish(journal(Attempt(1.0))) == 0.0
    assert find_finish(b"") == 0.0
    with pytest.raises(GrammarError):
        find_finish(b'{"finished":{}}\n')


def test_the_page_names_the_same_words_and_keys():
    page = (TOP / "man/mailsrv-spool.5").read_text(encoding="utf-8")
    assert list(find_tags("mailsrv-spool.5", "A JOURNAL")) == list(KINDS)
    section = page[page.index(".Sh A JOURNAL") : page.index(".Sh STATES")]
    documented = set(re.findall(r"^\.Va (\w+)", section, re.MULTILINE))
    keys = {key for kind in (*KINDS.values(), Outcome) for key in RECORDS.keys(kind)}
    assert documented == keys | {"version", "nonce"}
    assert {status.value for status in Status} <= set(re.findall(r"\w+", section))
    assert {kind.value for kind in Kind} <= set(re.findall(r"\w+", section))
