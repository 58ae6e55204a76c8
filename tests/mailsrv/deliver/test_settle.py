"""Settling: what is written down when, the next attempt, reports, and going on after the disk has refused."""

import pytest

from mailsrv.errors import StorageError
from mailsrv.mail.dsn import Kind
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, Recipient
from mailsrv.mail.outcome import Outcome, Status
from tests.mailsrv.deliver.queued import HOST, NOW, Spools
from tests.mailsrv.spool.place import ID

DAY = 86400


def outcome(index, status, reply="so it is", dsn="2.0.0", host=HOST):
    return Outcome(index, status, dsn, reply, host, NOW)


def attempt(spools, *outcomes, **more):
    """One job with these outcomes; gives what `settle` gives."""
    delivery = spools.delivery(**more)
    spools.settler.learn(delivery, list(outcomes))
    assert delivery.end_job()
    moment = spools.settler.settle(delivery)
    delivery.claim.close()
    return moment


def test_all_relayed_leaves_nothing_behind(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example")
    assert attempt(spools, outcome(0, Status.RELAYED)) is None
    assert spools.tree() == []
    [line] = spools.log.named("attempt")
    assert (line["to"], line["status"], line["relay"]) == ("erin@remote.example", "relayed", HOST)


def test_delayed_waits_by_the_schedule(tmp_path):
    spools = Spools(tmp_path, retry_seconds=[300, 600])
    spools.put("erin@remote.example", "frank@remote.example")
    assert attempt(spools, outcome(0, Status.RELAYED), outcome(1, Status.DELAYED, dsn="4.2.0")) == NOW + 300
    assert spools.queued_for() == 300
    spools.clock.advance(300)
    assert attempt(spools, outcome(1, Status.DELAYED, dsn="4.2.0")) == NOW + 300 + 600
    with spools.claim() as claim:
        assert claim.waiting == [1] and claim.attempts == 2
        assert claim.outcomes[0].status is Status.RELAYED


def test_it_is_looked_at_again_sooner_where_a_next_hop_was_left_alone(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@other.example")
    delivery = spools.delivery()
    delivery.look_again = NOW + 60
    spools.settler.learn(delivery, [outcome(0, Status.RELAYED)])
    assert delivery.end_job() and spools.settler.settle(delivery) == NOW + 60


def test_failure_is_reported_once_and_then_the_message_is_done(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example")
    assert attempt(spools, outcome(0, Status.FAILED, "550 5.1.1 nobody", "5.1.1")) is None
    [report] = spools.reports_queued()
    assert "550 5.1.1 nobody" in report and "Action: failed" in report
    assert spools.queued_for() is None


def test_too_old_has_failed_for_the_reason_it_waited_for(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example")
    spools.clock.advance(5 * DAY)
    assert attempt(spools, outcome(0, Status.DELAYED, "451 4.2.0 come back", "4.2.0")) is None
    [report] = spools.reports_queued()
    assert "451 4.2.0 come back" in report and "Action: failed" in report


def test_delay_is_reported_once_at_its_hour(tmp_path):
    spools = Spools(tmp_path, retry_seconds=[14000])
    spools.put("erin@remote.example")
    late = outcome(0, Status.DELAYED, "451 4.2.0 come back", "4.2.0")
    spools.clock.advance(1000)
    assert attempt(spools, late) == NOW + 14400
    delivery = spools.delivery()
    assert spools.settler.owed_at(delivery) == NOW + 14400 and not spools.settler.is_owed(delivery)
    delivery.claim.close()
    spools.clock.advance(13400)
    delivery = spools.delivery()
    assert spools.settler.is_owed(delivery)
    delivery.claim.close()
    attempt(spools, late)
    assert len(spools.reports_queued()) == 1
    spools.clock.advance(100)
    attempt(spools, late)
    assert len(spools.reports_queued()) == 1
    delivery = spools.delivery()
    assert not spools.settler.is_owed(delivery) and spools.settler.owed_at(delivery) == NOW + 5 * DAY


def test_a_report_that_cannot_be_delivered_is_held(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", sender=None)
    assert attempt(spools, outcome(0, Status.FAILED, "550 5.1.1 nobody", "5.1.1")) is None
    assert f"hold/{ID}" in spools.tree() and f"queue/{ID}" not in spools.tree()
    assert spools.reports_queued() == []


def test_final_is_written_down_while_other_jobs_run(tmp_path):
    """A crash before the last job ends must not have the others delivered again."""
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@other.example")
    delivery = spools.delivery(jobs=2)
    spools.settler.learn(delivery, [outcome(0, Status.RELAYED)])
    delivery.claim.close()  # the crash
    with spools.claim() as claim:
        assert claim.waiting == [1]


def test_what_is_not_final_needs_no_write_of_its_own(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@other.example")
    spools.settler.learn(spools.delivery(jobs=2), [outcome(0, Status.DELAYED)])
    assert spools.tree() == [f"queue/{ID}"]


def test_cut_short_is_no_attempt(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@other.example")
    delivery = spools.delivery()
    delivery.cut_short = True
    assert delivery.end_job() and spools.settler.settle(delivery) == NOW
    assert spools.tree() == [f"queue/{ID}"] and spools.queued_for() == 0
    spools.settler.learn(delivery, [outcome(0, Status.RELAYED)])
    assert spools.settler.settle(delivery) == NOW
    delivery.claim.close()
    with spools.claim() as claim:
        assert claim.waiting == [1] and claim.attempts == 0


def test_it_goes_on_where_the_disk_refused(tmp_path, monkeypatch):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@remote.example")
    delivery = spools.delivery()
    spools.settler.learn(delivery, [outcome(0, Status.FAILED, "550 no", "5.1.1"), outcome(1, Status.RELAYED)])
    enqueue = spools.spool.enqueue
    monkeypatch.setattr(spools.spool, "enqueue", lambda *_: (_ for _ in ()).throw(StorageError("full")))
    with pytest.raises(StorageError):
        spools.settler.settle(delivery)
    monkeypatch.setattr(spools.spool, "enqueue", enqueue)
    assert spools.settler.settle(delivery) is None
    delivery.claim.close()
    assert len(spools.reports_queued()) == 1 and spools.queued_for() is None


def test_a_report_that_was_named_before_a_crash_is_made_under_its_id(tmp_path):
    spools = Spools(tmp_path)
    spools.put("erin@remote.example", "frank@remote.example")
    with spools.claim() as claim:
        claim.learn([outcome(0, Status.FAILED, "550 no", "5.1.1")])
        claim.journal_report(Kind.FAILED, "dZRRRRRRR00Z", (0,))
    for _ in range(2):
        delivery = spools.delivery()
        spools.settler.restore(delivery)
        delivery.claim.close()
    assert spools.queued_for("dZRRRRRRR00Z") is not None
    assert len(spools.reports_queued()) == 1


def test_success_that_was_asked_for_unless_the_host_tells_it(tmp_path):
    spools = Spools(tmp_path)
    asked = [Recipient(Address(name, "remote.example"), DsnRequest(("SUCCESS",))) for name in ("erin", "frank")]
    spools.put(*asked, parameters=MailParameters(envid="E1"))
    delivery = spools.delivery()
    delivery.passed_on.add(1)
    spools.settler.learn(delivery, [outcome(0, Status.RELAYED), outcome(1, Status.RELAYED)])
    assert delivery.end_job() and spools.settler.settle(delivery) is None
    [report] = spools.reports_queued()
    assert "Action: relayed" in report and "erin@remote.example" in report and "frank@" not in report
