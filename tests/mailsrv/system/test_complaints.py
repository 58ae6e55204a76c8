"""One line a minute, with a count."""

from mailsrv.errors import StorageError, StorageFull
from mailsrv.system.complaints import Complaints

from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog


def make():
    log, clock = FakeLog(), FakeClock()
    return Complaints(log, clock), log, clock


def reasons(log):
    return [fields["reason"] for fields in log.named("storage")]


def test_the_same_trouble_is_told_once_a_minute():
    complaints, log, clock = make()
    for number in range(5):
        complaints.storage("bob", StorageFull(f"/data/accounts/bob/{number}: No space left on device"))
    assert reasons(log) == ["/data/accounts/bob/0: No space left on device"]
    clock.advance(61)
    complaints.storage("bob", StorageFull("/data/accounts/bob/9: No space left on device"))
    assert reasons(log)[1:] == ["/data/accounts/bob/9: No space left on device; 4 times more since the last line"]
    clock.advance(61)
    complaints.storage("bob", StorageFull("/data/accounts/bob/9: No space left on device"))
    assert reasons(log)[2:] == ["/data/accounts/bob/9: No space left on device"]


def test_other_accounts_and_other_troubles_are_told():
    complaints, log, _ = make()
    complaints.storage("bob", StorageFull("x: full"))
    complaints.storage("eve", StorageFull("x: full"))
    complaints.storage("bob", StorageError("x: broken"))
    assert reasons(log) == ["x: full", "x: full", "x: broken"]


def test_there_is_an_end_to_it():
    complaints, log, clock = make()
    for number in range(3000):
        complaints.storage("bob", StorageError(f"trouble {number}"))
    assert len(log.events) == 1000
    clock.advance(61)
    complaints.storage("bob", StorageError("trouble"))
    assert len(log.events) == 1001


def bug(line):
    """An error that was raised; by another line of code for each number."""
    try:
        [lambda: {}["a"], lambda: 1 // 0][line]()
    except (LookupError, ArithmeticError) as error:
        return error


def test_a_bug_is_told_once_a_minute_whoever_brings_it_out():
    complaints, log, clock = make()
    for account in ("bob", "eve", "bob"):
        complaints.trouble(account, bug(1))
    complaints.trouble("bob", bug(0))
    told = log.named("bug")
    assert [(fields["where"], fields["id"]) for fields in told] == [("message", "bob"), ("message", "bob")]
    assert "ZeroDivisionError" in told[0]["traceback"]
    clock.advance(61)
    complaints.trouble("eve", bug(1))
    assert log.named("bug")[2]["traceback"].endswith("2 times more since the last line")
    complaints.trouble("eve", RuntimeError("never raised"))
    assert len(log.named("bug")) == 4


def test_other_trouble_is_that_of_a_disk():
    complaints, log, _ = make()
    complaints.trouble("bob", StorageFull("x: full"))
    assert (reasons(log), log.named("bug")) == (["x: full"], [])
