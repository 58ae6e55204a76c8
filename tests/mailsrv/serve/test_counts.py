import os
import threading

import pytest

from mailsrv.serve.counts import IMAP, PARTS, SLOTS, TOTALS, Counts
from tests.fakes.clock import FakeClock

WINDOW = 3600


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def counts(clock):
    return Counts(b"k" * 32, clock, WINDOW)


def test_connections_are_counted_over_all_workers(counts):
    one, two = (counts.writer(counts.claim()) for _ in range(2))
    assert one.opened("192.0.2.1") == 1
    assert two.opened("192.0.2.1") == 2
    assert two.opened("192.0.2.2") == 1
    assert one.total() == counts.total() == 3
    one.closed("192.0.2.1")
    assert two.opened("192.0.2.1") == 2
    assert counts.totals()["connections"] == 4


def test_each_service_has_its_own_total(counts):
    mail, imap = counts.writer(counts.claim()), counts.writer(counts.claim(), IMAP)
    mail.opened("192.0.2.1")
    imap.opened("192.0.2.1")
    imap.opened("192.0.2.1")
    assert (mail.total(), imap.total(), counts.total()) == (1, 2, 3)
    assert mail.opened("192.0.2.1") == 4  # of one address, whatever it speaks


def test_sessions_of_an_account_over_all_processes(counts):
    for number in range(3):
        counts.writer(counts.claim()).enter(f"id{number}", "imap", "192.0.2.1").account("alice")
    assert counts.writer(counts.claim()).sessions_of("alice") == 3


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),  # one /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_what_counts_as_one_client(counts, first, second, same):
    writer = counts.writer(counts.claim())
    writer.opened(first)
    assert writer.opened(second) == (2 if same else 1)


def test_what_is_no_address_counts_in_the_total_alone(counts):
    writer = counts.writer(counts.claim())
    assert writer.opened("local") == 0
    assert writer.login_failed("local") == 0
    assert counts.total() == 1
    writer.closed("local")
    assert counts.total() == 0


def test_failed_logins_count_for_their_window(counts, clock):
    one, two = (counts.writer(counts.claim()) for _ in range(2))
    assert one.failures("192.0.2.1") == 0
    assert one.login_failed("192.0.2.1") == 1
    clock.advance(WINDOW / 2)
    assert two.login_failed("192.0.2.1") == 2
    clock.advance(WINDOW / 2)
    assert one.failures("192.0.2.1") == 2  # exactly a window old still counts
    clock.advance(WINDOW / (PARTS - 1))
    assert one.failures("192.0.2.1") == 1
    clock.advance(WINDOW)
    assert one.failures("192.0.2.1") == 0
    assert one.login_failed("192.0.2.1") == 1  # the table of an old part was emptied
    assert counts.totals()["logins_failed"] == 3


def test_strangers_hardly_ever_meet(counts):
    writer = counts.writer(counts.claim())
    for number in range(2000):
        writer.opened(f"10.0.{number // 250}.{number % 250}")
    assert max(counts.connections(f"10.0.{number // 250}.{number % 250}") for number in range(2000)) <= 5


def test_a_dead_worker_holds_no_connections_but_its_failures_and_totals_stay(counts, clock):
    slot = counts.claim()
    writer = counts.writer(slot)
    writer.opened("192.0.2.1")
    writer.login_failed("192.0.2.1")
    clock.advance(WINDOW / 2)
    writer.login_failed("192.0.2.1")
    writer.count("messages", 7)
    writer.enter("id", "smtp", "192.0.2.1")
    counts.release(slot)
    assert counts.total() == 0 and counts.connections("192.0.2.1") == 0 and counts.sessions() == []
    assert counts.failures("192.0.2.1") == 2
    assert counts.totals()["messages"] == 7
    again = counts.writer(counts.claim())
    assert again.opened("192.0.2.1") == 1
    assert again.login_failed("192.0.2.1") == 3


def test_failures_can_be_forgotten(counts):
    slot = counts.claim()
    gone, writer = counts.writer(slot), counts.writer(counts.claim())
    gone.login_failed("192.0.2.1")
    counts.release(slot)
    writer.login_failed("192.0.2.1")
    writer.login_failed("192.0.2.2")
    writer.forget("192.0.2.1")
    counts.forget("192.0.2.1")
    assert writer.failures("192.0.2.1") == 0
    assert writer.failures("192.0.2.2") == 1


def test_slots_run_out(counts):
    slots = [counts.claim() for _ in range(SLOTS)]
    assert slots == [*range(1, SLOTS), None]
    counts.release(5)
    assert counts.claim() == 5


def test_another_process_sees_it(counts):
    slot = counts.claim()
    pid = os.fork()
    if pid == 0:
        writer = counts.writer(slot)
        writer.opened("192.0.2.1")
        writer.enter("child", "smtp", "192.0.2.1")
        os._exit(0)
    os.waitpid(pid, 0)
    assert counts.connections("192.0.2.1") == 1
    assert [session.id for session in counts.sessions()] == ["child"]


def test_threads_of_one_process_lose_nothing(counts):
    writer = counts.writer(counts.claim())

    def work():
        for _ in range(500):
            writer.opened("192.0.2.1")
            writer.closed("192.0.2.1")
            writer.count("recipients", 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.connections("192.0.2.1") == counts.total() == 0
    assert counts.totals()["recipients"] == 4000


def test_every_total_has_a_place(counts):
    writer = counts.writer(counts.claim())
    for number, name in enumerate(TOTALS):
        writer.count(name, number + 1)
    assert counts.totals() == {name: number + 1 for number, name in enumerate(TOTALS)}
