"""The claim: who gets it, what it knows, what each step leaves on the disk."""

import os
import threading

import pytest

from mailsrv.errors import Busy, StorageFull
from mailsrv.mail.dsn import Kind
from mailsrv.spool.claim import try_claim
from mailsrv.spool.hold import Holding, hold

from tests.fakes.disk import FakeDisk
from tests.mailsrv.spool.place import ID, MESSAGE, REPORT, Place, delayed, failed, relayed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_the_message(place):
    envelope = place.enqueue()
    with try_claim(place.disk, place.layout, ID, place.clock, place.log) as claim:
        assert claim.envelope == envelope and claim.id == ID and claim.size == len(MESSAGE)
        assert claim.read(0, 7) == b"Subject" and claim.read(9, 5) == b"lunch"
        assert claim.read(len(MESSAGE) - 4, 100) == b"n?\r\n" and claim.read(len(MESSAGE), 1) == b""
        assert claim.head(4) == b"Subj"
        assert list(claim.blocks(0, 300)) == [MESSAGE[:300], MESSAGE[300:]]
        assert b"".join(claim.blocks(10)) == MESSAGE[10:]
        assert os.pread(claim.fileno(), 7, claim.offset) == b"Subject"
        assert claim.waiting == [0, 1] and claim.outcomes == {} and claim.attempts == 0


@pytest.mark.parametrize("size", [10, 8190, 9000, 70000])
def test_the_header_of_a_message(place, size):
    header = b"X-Long: " + b"x" * size + b"\r\n\r\n"
    place.enqueue(octets=header + b"body\r\n")
    with place.claim() as claim:
        assert claim.header() == header
        assert claim.header(100) == (header + b"body\r\n")[: min(100, len(header))]


def test_a_message_without_empty_line(place):
    place.enqueue(octets=b"A: b\r\n")
    with place.claim() as claim:
        assert claim.header() == b"A: b\r\n"


def test_only_one_has_it(place):
    place.enqueue()
    first = place.claim()
    with pytest.raises(Busy):
        place.claim()
    first.close()
    first.close()
    with place.claim() as claim:
        assert claim is not None


def test_what_is_not_there_or_held_is_not_claimed(place):
    assert place.claim() is None and place.claim(held=True) is None
    place.enqueue()
    hold(place.disk, place.layout, ID, place.log, "wish")
    assert place.claim() is None
    with place.claim(held=True) as claim:
        assert claim.head(7) == b"Subject"
    os.link(f"{place.layout.hold}/{ID}", f"{place.layout.queue}/{ID}")
    assert place.claim() is None


def test_a_name_that_was_given_to_another_file(place, monkeypatch):
    """Between opening and locking: the lock is on a file that is not the message any more."""
    place.enqueue()
    path = f"{place.layout.queue}/{ID}"
    real = os.open

    def late(name, *rest, **named):
        fd = real(name, *rest, **named)
        if name == path:
            os.unlink(path)
        return fd

    monkeypatch.setattr(os, "open", late)
    assert place.claim() is None


def test_one_attempt_that_settles_everything_needs_no_journal(place):
    place.enqueue()
    place.clock.advance(2.5)
    with place.claim() as claim:
        claim.learn([relayed(0)])
        assert claim.waiting == [1] and place.tree() == [f"queue/{ID}"]
        claim.finish([failed(1)])
    assert place.tree() == []
    assert place.log.named("finished") == [{"id": ID, "recipients": 2, "attempts": 0, "seconds": 2.5}]


def test_deferred(place):
    place.enqueue()
    now = place.clock.now()
    with place.claim() as claim:
        claim.learn([relayed(0)])
        claim.defer(now + 300, [delayed(1)])
        assert claim.attempts == 1 and claim.waiting == [1]
    assert os.stat(f"{place.layout.queue}/{ID}").st_mtime == now + 300
    with place.claim() as claim:
        assert claim.waiting == [1] and claim.outcomes == {0: relayed(0), 1: delayed(1)}
        assert (claim.attempts, claim.first_attempt, claim.last_attempt, claim.due) == (1, now, now, now + 300)


def test_recorded_by_several_threads(place):
    names = [f"r{number}" for number in range(12)]
    place.enqueue(names)
    with place.claim() as claim:
        threads = [threading.Thread(target=claim.record, args=([relayed(number)],)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert claim.waiting == []
    with place.claim() as claim:
        assert claim.waiting == [] and len(claim.outcomes) == 12


def test_a_time_that_was_lost(place):
    """After a crash, or from a copy without times: the journal knows."""
    place.enqueue()
    now = place.clock.now()
    with place.claim() as claim:
        claim.defer(now + 300, [delayed(0)])
    path = f"{place.layout.queue}/{ID}"
    os.utime(path, (now - 50, now - 50))
    with place.claim() as claim:
        assert claim.due == now + 300
        claim.put_back()
    assert os.stat(path).st_mtime == now + 300
    os.utime(path, (now + 7, now + 7))  # an operator's touch
    with place.claim() as claim:
        assert claim.due == now + 7


def test_the_time_of_a_message_that_is_gone(place):
    place.enqueue()
    with place.claim() as claim:
        os.unlink(f"{place.layout.queue}/{ID}")
        claim.put_back()
    assert os.listdir(place.layout.queue) == []


def test_a_report_is_named_queued_and_noted(place):
    place.enqueue()
    with place.claim() as claim:
        claim.learn([failed(0)])
        report = claim.journal_report(Kind.FAILED, REPORT, [0])
        assert claim.reports == [report]
    with place.claim() as claim:
        assert claim.pending_reports() == [report] and claim.outcomes == {0: failed(0)}
        claim.reported(REPORT)
        assert claim.pending_reports() == []
        claim.defer(place.clock.now() + 300, [delayed(1)])
    assert place.log.named("report") == [
        {
            "id": ID,
            "to": "carol@example.org",
            "kind": "failed",
            "report": REPORT,
            "recipients": 1,
            "reason": "5.1.1 no such user",
        }
    ]
    with place.claim() as claim:
        assert claim.reports == [report] and claim.pending_reports() == []


def test_a_report_that_nobody_named(place):
    place.enqueue()
    with place.claim() as claim, pytest.raises(KeyError):
        claim.reported(REPORT)


def test_named_with_the_outcomes_in_one_write():
    place = Place("/d", FakeDisk())
    place.enqueue()
    with place.claim() as claim:
        place.disk.operations.clear()
        claim.learn([failed(0), failed(1)])
        claim.journal_report(Kind.FAILED, REPORT, [0, 1])
        claim.reported(REPORT)
        claim.finish()
    assert [operation for operation, _ in place.disk.operations] == ["append", "sync", "sync", "unlink"]


def test_an_attempt_that_settles_everything_costs_one_sync():
    place = Place("/d", FakeDisk())
    place.enqueue()
    with place.claim() as claim:
        place.disk.operations.clear()
        claim.finish([relayed(0), relayed(1)])
    queue = place.layout.queue
    assert place.disk.operations == [("unlink", f"{queue}/{ID}"), ("sync", queue)]


def test_a_finished_report_leaves_a_journal(place):
    place.enqueue(sender=None)
    with place.claim() as claim:
        claim.finish([relayed(0), relayed(1)])
    assert place.tree() == [f"journal/{ID}"]
    lines = place.disk.read(f"{place.layout.journal}/{ID}").splitlines()
    assert lines[-1] == b'{"finished":{"at":1700000000.0}}'


def test_held_while_it_is_delivered(place):
    place.enqueue()
    claim = place.claim()
    assert hold(place.disk, place.layout, ID, place.log, "wish") is Holding.LATER
    claim.defer(place.clock.now() + 300, [delayed(0)])
    claim.close()
    assert place.claim() is None


def test_held_while_it_is_delivered_and_finished_by_that(place):
    place.enqueue()
    with place.claim() as claim:
        hold(place.disk, place.layout, ID, place.log, "wish")
        claim.finish([relayed(0), relayed(1)])
    # The journal stays for the collector: between the two names the message might have been left held.
    assert place.tree() == [f"journal/{ID}"]


def test_set_aside_by_its_holder(place):
    place.enqueue(sender=None)
    with place.claim() as claim:
        claim.learn([failed(0)])
        claim.hold("the report cannot be delivered")
    assert place.tree() == [f"hold/{ID}", f"journal/{ID}"]
    assert place.log.events == [("held", "warning", {"id": ID, "reason": "the report cannot be delivered"})]
    with place.claim(held=True) as claim:
        assert claim.outcomes == {0: failed(0)}
        claim.hold("again")
        claim.finish()
    assert place.tree() == [f"journal/{ID}"]


def test_deleted_in_hold(place):
    place.enqueue()
    hold(place.disk, place.layout, ID, place.log, "wish")
    with place.claim(held=True) as claim:
        claim.finish()
    assert place.tree() == []


def test_what_an_operator_did_is_kept(place):
    place.enqueue()
    with place.claim() as claim:
        claim.note("reroute", "smtp:relay.example:25")
    with place.claim() as claim:
        assert [(note.action, note.text) for note in claim.notes] == [("reroute", "smtp:relay.example:25")]


def test_nothing_to_record_makes_no_journal(place):
    place.enqueue()
    with place.claim() as claim:
        claim.record()
    assert place.tree() == [f"queue/{ID}"]


def test_a_step_that_the_disk_refuses_is_made_by_the_next():
    place = Place("/d", FakeDisk())
    place.enqueue()
    with place.claim() as claim:
        place.disk.refuse = lambda operation, path: StorageFull("no") if operation == "append" else None
        with pytest.raises(StorageFull):
            claim.defer(9.0, [failed(0), delayed(1)])
        assert claim.waiting == [1]
        place.disk.refuse = None
        claim.defer(9.0)
    with place.claim() as claim:
        assert claim.outcomes == {0: failed(0), 1: delayed(1)} and claim.attempts == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda octets: b"", "the first line has no end"),
        (lambda octets: octets[:-1], "has 427 octets of a message of 428"),
        (lambda octets: octets.replace(b'"version":1', b'"version":9', 1), "version 9 is not known, only 1"),
    ],
)
def test_a_damaged_message_is_set_aside(place, damage, reason):
    place.enqueue()
    with place.claim() as claim:
        claim.record([delayed(0)])
    path = f"{place.layout.queue}/{ID}"
    octets = damage(place.disk.read(path))
    os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(octets)
    assert place.claim() is None
    assert place.tree() == [f"corrupt/{ID}", f"corrupt/{ID}.journal"]
    assert [fields["reason"] for fields in place.log.named("corrupt")] == [reason] * 2
    assert place.claim() is None


def test_another_messages_journal_is_set_aside_with_the_message(place):
    place.enqueue()
    with place.claim() as claim:
        claim.record([delayed(0)])
    os.unlink(f"{place.layout.queue}/{ID}")
    place.enqueue()
    assert place.claim() is None
    assert place.tree() == [f"corrupt/{ID}", f"corrupt/{ID}.journal"]
    assert "another message" in place.log.named("corrupt")[0]["reason"]
