"""The runner: what it begins when, what it hears, and that nothing stops it or makes it forget."""

import os
import threading

import pytest

from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.hold import hold
from mailsrv.deliver.settle import Settler
from mailsrv.system.wake import Doorbell
from tests.mailsrv.deliver.queued import HOST, NOW, Queue
from tests.mailsrv.spool.place import ID

SECOND = "dZJjly8m63W1"
THIRD = "dZJjly8m63W2"
DEAD = (NOW + 600, "connection refused")


@pytest.fixture
def make_queue(tmp_path):
    made = []

    def make(**more):
        made.append(Queue(tmp_path, **more))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def queue(make_queue):
    return make_queue()


def refuse(*_arguments, **_named):
    raise StorageError("refused by the test")


# What is begun

def test_the_first_look_finds_what_is_due(queue):
    queue.put("erin@remote.example", "frank@other.example")
    queue.put("grace@remote.example", identifier=SECOND, due=NOW + 70)
    queue.bell.take()
    assert queue.step() == 60
    assert queue.hops() == ["remote.example", "other.example"]
    assert queue.runner.active() == 1
    queue.end()
    queue.step()
    assert queue.runner.active() == 0 and queue.queued_for() is None
    queue.step(70)
    assert queue.hops() == ["remote.example"]


def test_one_message_is_not_begun_twice(queue):
    queue.put("erin@remote.example")
    for _ in range(3):
        queue.wake(ID)
    queue.step()
    queue.wake("-")
    queue.step()
    assert len(queue.hops()) == 1


def test_deferred_comes_back_at_its_time(queue):
    queue.put("erin@remote.example")
    queue.step()
    queue.end(Status.DELAYED, "4.2.0", "come back")
    queue.step()
    assert queue.hops() == []
    queue.step(299)
    assert queue.hops() == []
    queue.step(1)
    assert queue.hops() == ["remote.example"]


def test_a_message_without_waiting_recipients_is_finished(queue):
    """The crash came between the last outcome and the end."""
    queue.put("erin@remote.example")
    with queue.claim() as claim:
        claim.record([Outcome(0, Status.RELAYED, "2.0.0", "", HOST, NOW)])
    queue.step()
    assert queue.hops() == [] and queue.queued_for() is None


def test_a_report_that_was_named_is_made_before_anything_else(queue):
    queue.put("erin@remote.example", "frank@dead.example")
    with queue.claim() as claim:
        claim.learn([Outcome(0, Status.FAILED, "5.1.1", "550 no", HOST, NOW), Outcome(1, Status.DELAYED, "4.0.0", "")])
        claim.journal_report(Kind.FAILED, "dZRRRRRRR00Z", (0,))
    queue.dispatcher.alone["dead.example"] = DEAD
    queue.step()
    assert queue.queued_for("dZRRRRRRR00Z") is not None


def test_a_time_that_did_not_survive_is_put_back(queue):
    queue.put("erin@remote.example")
    queue.step()
    queue.end(Status.DELAYED, "4.2.0", "come back")
    queue.disk.set_time(f"{queue.layout.queue}/{ID}", 1.0)
    queue.wake("-")
    queue.step()
    queue.step()
    assert queue.hops() == [] and queue.queued_for() == 300


# What is heard

def test_a_new_message_is_begun_at_its_wake(queue):
    queue.step()
    queue.put("erin@remote.example")
    assert queue.bell.wait(0)
    queue.step()
    assert queue.hops() == ["remote.example"]


def test_an_operator_s_wish_ignores_back_off_and_time(queue):
    queue.put("erin@remote.example", due=NOW + 5000)
    queue.dispatcher.alone["remote.example"] = DEAD
    queue.bell.take()
    queue.step()
    queue.wake(ID)
    queue.step()
    assert queue.hops() == []
    queue.wake(f"!{ID}")
    queue.step()
    assert queue.hops() == ["remote.example"]


def test_star_releases_every_next_hop(queue):
    queue.step()
    queue.wake("*")
    queue.step()
    assert queue.dispatcher.released == 1


@pytest.mark.parametrize("hint", ["-", "", "!", "../corrupt/x", "/etc/passwd", "!../../x", "\x00", "ä"])
def test_any_other_hint_reads_the_queue_and_opens_nothing(queue, hint, monkeypatch):
    queue.step()
    queue.put("erin@remote.example")
    queue.bell.take()
    opened = []
    try_claim = queue.claims.try_claim
    monkeypatch.setattr(queue.claims, "try_claim", lambda name: opened.append(name) or try_claim(name))
    queue.waker.wake(queue.layout.wake, hint.encode())
    queue.step()
    assert opened == [ID] and queue.hops() == ["remote.example"]


def test_wakes_that_may_have_been_lost_make_it_look(queue):
    queue.step()
    for _ in range(20):
        queue.wake(SECOND)  # the bell holds ten of them
    queue.put("erin@remote.example")
    while queue.bell.wait(0):
        queue.step()
    queue.step(2)
    assert queue.hops() == ["remote.example"]


def test_without_any_wake_the_queue_is_read_from_time_to_time(queue):
    queue.step()
    queue.put("erin@remote.example")
    queue.bell.take()
    assert queue.step() <= 60 and queue.hops() == []
    queue.step(300)
    assert queue.hops() == ["remote.example"]


def test_the_doorbell_may_be_replaced_while_it_runs(make_queue):
    rung = threading.Event()

    def go_round(runner):
        if not rung.is_set():
            runner.doorbell = Doorbell(queue.layout.wake)
            rung.set()

    queue = make_queue(go_round=go_round)
    thread = threading.Thread(target=queue.runner.run)
    thread.start()
    assert rung.wait(20)
    queue.put("erin@remote.example")
    while not queue.dispatcher.jobs:
        thread.join(0.01)
    queue.runner.halt()
    thread.join(20)
    assert not thread.is_alive()


# What waits

def test_a_next_hop_that_is_left_alone_is_not_asked_once_per_message(queue):
    queue.put("erin@remote.example")
    queue.put("frank@remote.example", identifier=SECOND)
    for name in (ID, SECOND):
        with queue.claim(name) as claim:
            claim.defer(NOW, [Outcome(0, Status.DELAYED, "4.4.1", "refused", at=NOW)])
    journals = [queue.disk.size(f"{queue.layout.journal}/{name}") for name in (ID, SECOND)]
    queue.dispatcher.alone["remote.example"] = DEAD
    queue.step()
    assert queue.hops() == [] and queue.runner.active() == 0
    del queue.dispatcher.alone["remote.example"]
    queue.step(600)
    assert len(queue.hops()) == 1, "one job finds out whether it works again"
    assert [queue.disk.size(f"{queue.layout.journal}/{name}") for name in (ID, SECOND)] == journals
    queue.end()
    queue.step()
    assert len(queue.hops()) == 1
    queue.end()
    queue.step()
    assert queue.tree() == [f"journal/{ID}", f"journal/{SECOND}"]


def test_a_new_message_for_it_has_a_word_for_the_report(queue):
    queue.put("erin@remote.example")
    queue.dispatcher.alone["remote.example"] = DEAD
    queue.step()
    with queue.claim() as claim:
        assert claim.outcomes[0].reply == "451 4.4.1 connection refused"


def test_other_recipients_do_not_wait_for_it(queue):
    queue.put("erin@remote.example", "frank@other.example")
    queue.dispatcher.alone["remote.example"] = (NOW + 100, "connection refused")
    queue.step()
    assert queue.hops() == ["other.example"]
    queue.end()
    queue.step()
    assert queue.queued_for() == 100


@pytest.mark.parametrize(("age", "action"), [(14400, "delayed"), (432000, "failed")])
def test_who_waits_for_it_too_long_is_told(make_queue, age, action):
    queue = make_queue(give_up_seconds=432000)
    queue.put("erin@remote.example")
    with queue.claim() as claim:
        claim.defer(NOW, [Outcome(0, Status.DELAYED, "4.4.1", "451 4.4.1 refused", at=NOW)])
    queue.dispatcher.alone["remote.example"] = (NOW + 10**6, "connection refused")
    queue.step()
    assert queue.reports_queued() == []
    queue.step(age)
    queue.step()
    [report] = queue.reports_queued()
    assert f"Action: {action}" in report


def test_a_next_hop_with_too_many_jobs_keeps_nobody_waiting(queue):
    ids = [f"dZJjly8m6{number:03}" for number in range(600)]
    for number, name in enumerate(ids):
        queue.put("erin@slow.example", identifier=name, due=NOW - 1000 + number)
    queue.put("frank@quick.example")
    queue.bell.take()
    for _ in range(10):
        queue.step()
    assert "quick.example" in queue.hops()
    assert len(queue.hops()) < 400
    for _ in range(10):
        queue.end()
        queue.step()
    assert queue.tree() == []


@pytest.mark.parametrize("way", ["paused", "hold"])
def test_what_the_operator_has_stopped_waits_and_never_expires(make_queue, way):
    queue = make_queue(hold=way == "hold")
    queue.paused.add("remote.example")
    queue.put("erin@remote.example", Recipient(Address("ada", "example.org"), account="ada"))
    queue.put("frank@remote.example", identifier=SECOND)
    queue.step()
    assert queue.hops() == ["account:ada"]
    queue.end(Status.DELIVERED)
    for _ in range(3):
        queue.step(432000)
    assert queue.hops() == [] and queue.reports_queued() == []
    if way == "paused":
        queue.paused.clear()
        queue.wake("*")
        queue.step()
        assert queue.hops() == ["remote.example"] * 2


def test_held_messages_are_left_alone(queue):
    queue.put("erin@remote.example")
    hold(queue.disk, queue.layout, ID, queue.log, "wish")
    queue.wake(ID)
    queue.step()
    assert queue.hops() == []


def test_another_process_s_message_is_looked_at_again_soon(queue):
    queue.put("erin@remote.example")
    with queue.claim():
        queue.step()
        assert queue.hops() == []
    queue.step(5)
    assert queue.hops() == ["remote.example"]


# What goes wrong

@pytest.mark.parametrize(("error", "event", "seconds"), [(StorageError, "storage", 30), (ValueError, "bug", 300)])
def test_one_bad_message_does_not_stop_the_others(queue, monkeypatch, error, event, seconds):
    queue.put("erin@remote.example", due=NOW - 5)
    queue.put("frank@other.example", identifier=SECOND)
    group = queue.runner._works.router.group

    def route(envelope, indexes):
        if envelope.id == ID and queue.clock.now() < NOW + seconds:
            raise error("wrong")
        return group(envelope, indexes)

    monkeypatch.setattr(queue.runner._works.router, "group", route)
    queue.step()
    assert queue.hops() == ["other.example"]
    assert len(queue.log.named(event)) == 1
    with queue.claim() as claim:
        assert claim is not None, "the lock has leaked"
    queue.step(seconds)
    assert queue.hops() == ["other.example", "remote.example"]


def test_a_damaged_message_is_set_aside(queue):
    path = f"{queue.layout.queue}/{SECOND}"
    with open(path, "wb") as file:
        file.write(b"no envelope\n")
    queue.put("erin@remote.example")
    queue.step()
    assert queue.hops() == ["remote.example"] and f"corrupt/{SECOND}" in " ".join(queue.tree())


def test_a_job_that_nobody_takes_is_tried_again(queue):
    queue.put("erin@remote.example")
    queue.dispatcher.refusing = True
    queue.step()
    assert queue.runner.active() == 1
    queue.step()
    assert queue.runner.active() == 0 and queue.queued_for() == 300
    assert queue.log.named("bug")
    queue.dispatcher.refusing = False
    queue.step(300)
    assert queue.hops() == ["remote.example"]


def test_a_full_disk_delivers_nothing_twice(queue, monkeypatch):
    queue.put("erin@remote.example", "frank@remote.example")
    queue.step()
    append = queue.disk.append
    monkeypatch.setattr(queue.disk, "append", refuse)
    [job] = queue.dispatcher.stop()
    queue.runner.end_job(job, [
        Outcome(0, Status.RELAYED, "2.0.0", "", HOST, NOW), Outcome(1, Status.DELAYED, "4.2.0", "", HOST, NOW),
    ])  # fmt: skip
    for _ in range(3):
        queue.step(31)
    queue.wake(ID)
    queue.wake("-")
    queue.step()
    assert queue.hops() == [] and queue.runner.active() == 0
    assert len(queue.log.named("storage")) == 4
    monkeypatch.setattr(queue.disk, "append", append)
    queue.step(31)
    queue.step()
    with queue.claim() as claim:
        assert claim.waiting == [1]
    queue.step(300)
    assert [job.indexes for job in queue.dispatcher.jobs] == [(1,)]


def test_a_round_that_fails_is_an_event(make_queue):
    queue = make_queue(go_round=refuse)
    queue.put("erin@remote.example")
    assert queue.step() <= 1
    assert queue.hops() == ["remote.example"] and queue.log.named("storage")


def test_a_bug_does_not_end_the_run(make_queue):
    turns = []

    def go_round(runner):
        turns.append(1)
        if len(turns) > 1:
            runner.halt()
        queue.clock.advance(1)
        raise ValueError("wrong")

    queue = make_queue(go_round=go_round)
    queue.wake("-")
    os.eventfd_write(queue.runner._ended_bell, 1)
    queue.runner.run()
    assert len(turns) == 2 and len(queue.log.named("bug")) == 2


@pytest.mark.parametrize("part", ["_hear", "_take_back", "_begin_due", "_next_step"])
@pytest.mark.parametrize(("error", "event"), [(ValueError, "bug"), (StorageError, "storage")])
def test_nor_does_one_in_any_part_of_a_step(queue, monkeypatch, part, error, event):
    turns = []

    def fail(*_):
        turns.append(1)
        if len(turns) > 1:
            queue.runner.halt()
        os.eventfd_write(queue.runner._ended_bell, 1)
        raise error("wrong")

    monkeypatch.setattr(queue.runner, part, fail)
    queue.runner.run()
    assert len(turns) == 2 and len(queue.log.named(event)) == 2


def test_a_bug_about_one_message_names_it_and_closes_its_claim(queue, monkeypatch):
    queue.put("erin@remote.example")
    monkeypatch.setattr(queue.runner, "_plan", lambda _: 1 / 0)
    queue.step()
    [bug] = queue.log.named("bug")
    assert (bug["where"], bug["id"]) == ("runner", ID)
    with queue.claim() as claim:
        assert claim.waiting == [0]


def test_where_settling_is_wrong_the_message_stays_claimed_until_it_is_settled(queue, monkeypatch):
    queue.put("erin@remote.example")
    queue.step()
    settle = Settler.settle
    monkeypatch.setattr(Settler, "settle", lambda *_: 1 / 0)
    queue.end()
    queue.step()
    assert len(queue.log.named("bug")) == 1
    monkeypatch.setattr(Settler, "settle", settle)
    queue.step(299)
    assert queue.queued_for() is not None and queue.hops() == []
    queue.step(1)
    assert queue.queued_for() is None


# The end

def test_at_the_end_running_jobs_are_settled_and_others_left(queue):
    queue.put("erin@remote.example", "frank@other.example")
    queue.put("grace@remote.example", identifier=SECOND)
    queue.step()
    running = queue.dispatcher.jobs.pop(0)
    assert running.delivery.envelope.id == ID
    queue.runner.stop()
    assert queue.queued_for(SECOND) == 0 and f"journal/{SECOND}" not in queue.tree()
    with queue.claim(SECOND) as claim:
        assert claim is not None, "the lock has leaked"
    queue.runner.end_job(running, [Outcome(0, Status.RELAYED, "2.0.0", "", HOST, NOW)])
    with queue.claim() as claim:
        assert claim.waiting == [1] and claim.attempts == 0
    assert queue.queued_for() == 0


def test_at_the_end_the_disk_is_asked_once_more(queue, monkeypatch):
    queue.put("erin@remote.example", "frank@remote.example")
    queue.step()
    append = queue.disk.append
    monkeypatch.setattr(queue.disk, "append", refuse)
    [job] = queue.dispatcher.stop()
    queue.runner.end_job(job, [Outcome(0, Status.RELAYED, "2.0.0", "", HOST, NOW), Outcome(1, Status.DELAYED, "4", "")])
    monkeypatch.setattr(queue.disk, "append", append)
    queue.runner.stop()
    with queue.claim() as claim:
        assert claim.waiting == [1]


def test_two_runners_at_once_share_the_queue(queue, tmp_path):
    other = Queue(tmp_path)  # takes the doorbell over, as the next generation does
    names = [ID, SECOND, THIRD]
    for number, name in enumerate(names):
        queue.put(f"u{number}@remote.example", identifier=name)
    queue.bell.take()
    queue.step()
    other.step()
    assert len(queue.hops()) == 3 and other.hops() == []
    queue.runner.stop()
    other.step(5)
    assert len(other.hops()) == 3
    other.end()
    other.step()
    assert queue.tree() == []
    other.close()
