"""Looking at messages that others work on."""

import os

import pytest

from mailsrv.errors import GrammarError
from mailsrv.mail.dsn import Kind
from mailsrv.spool.hold import hold
from mailsrv.spool.journal import Journal
from mailsrv.spool.summary import read_summary
from mailsrv.system.lock import locked_inodes

from tests.mailsrv.spool.place import ID, MESSAGE, REPORT, Place, delayed, failed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def look(place):
    return read_summary(place.disk, place.layout, ID, locked_inodes())


def test_a_message_that_waits(place):
    envelope = place.enqueue()
    now = place.clock.now()
    with place.claim() as claim:
        claim.learn([failed(0)])
        claim.journal_report(Kind.FAILED, REPORT, [0])
        claim.note("reroute", "smtp:relay.example")
        claim.defer(now + 300, [delayed(1)])
    summary = look(place)
    assert summary.envelope == envelope and summary.id == ID
    assert summary.outcomes == {0: failed(0), 1: delayed(1)} and summary.waiting == (1,)
    assert (summary.attempts, summary.first_attempt, summary.last_attempt) == (1, now, now)
    assert summary.next_attempt == now + 300
    assert [report.id for report in summary.reports] == [REPORT] and summary.notes[0].action == "reroute"
    assert not summary.held and not summary.claimed
    with open(summary.path, "rb") as file:
        assert file.read()[summary.start :] == MESSAGE


def test_a_message_that_is_worked_on(place):
    place.enqueue()
    with place.claim():
        assert look(place).claimed
        with place.disk.open_file(f"{place.layout.queue}/{ID}"):
            assert look(place).claimed
    assert not look(place).claimed
    assert not read_summary(place.disk, place.layout, ID).claimed


def test_looking_keeps_nobody_from_claiming(place, monkeypatch):
    place.enqueue()
    load = Journal.load
    claims = []

    def claimed_meanwhile(journal, recipients):
        if not claims:
            claims.append(None)
            with place.claim() as claims[0]:
                pass
        return load(journal, recipients)

    monkeypatch.setattr(Journal, "load", claimed_meanwhile)
    assert look(place) is not None
    assert claims[0] is not None


def test_a_held_message(place):
    place.enqueue()
    hold(place.disk, place.layout, ID, place.log, "wish")
    assert look(place).held
    os.link(f"{place.layout.hold}/{ID}", f"{place.layout.queue}/{ID}")
    assert look(place).held


def test_what_is_not_there(place):
    assert look(place) is None


def test_what_is_damaged_is_not_touched(place):
    place.enqueue()
    place.disk.append(f"{place.layout.journal}/{ID}", b"hello\n")
    with pytest.raises(GrammarError, match="journal: "):
        look(place)
    assert place.tree() == [f"journal/{ID}", f"queue/{ID}"]
