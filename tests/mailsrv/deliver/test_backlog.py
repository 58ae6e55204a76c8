"""What waits: for its time, for room at a next hop, for a next hop that is left alone."""

from mailsrv.deliver.backlog import Backlog
from mailsrv.deliver.route import HopKind, NextHop

HOP = NextHop(HopKind.DIRECT, "slow.example")
OTHER = NextHop(HopKind.DIRECT, "other.example")


def never(_hop):
    return False


def drain(backlog, now):
    found = []
    while (identifier := backlog.pop_due(now)) is not None:
        found.append(identifier)
    return found


def test_in_the_order_of_their_times():
    backlog = Backlog(1000)
    for moment, identifier in ((30.0, "c"), (10.0, "a"), (20.0, "b")):
        backlog.add(moment, identifier)
    assert backlog.next_moment == 10.0
    assert drain(backlog, 20.0) == ["a", "b"]
    assert len(backlog) == 1 and backlog.next_moment == 30.0
    assert drain(backlog, 30.0) == ["c"] and backlog.next_moment is None


def test_the_disk_replaces_all_but_busy_and_parked_ones():
    backlog = Backlog(1000)
    backlog.add(5.0, "gone")
    for moment in (120.0, 99.0, 110.0):  # when its sender must be told, each time that it was parked
        backlog.add(moment, "parked")
    backlog.park(HOP, "parked")
    backlog.replace([(1.0, "busy"), (2.0, "here"), (3.0, "parked")], {"busy"})
    assert drain(backlog, 50.0) == ["here"]
    assert drain(backlog, 99.0) == ["parked"] and backlog.next_moment is None


def test_no_next_hop_takes_all_room():
    backlog = Backlog(90)
    hops = [NextHop(HopKind.DIRECT, f"h{number}.example") for number in range(4)]
    taken = []
    for hop in hops:
        count = 0
        while not backlog.is_full(hop):
            backlog.begin(hop)
            count += 1
        taken.append(count)
    assert taken == [30, 20, 13, 10]


def test_parked_messages_come_when_half_of_the_room_is_free():
    backlog = Backlog(60)
    while not backlog.is_full(HOP):
        backlog.begin(HOP)
    for number in range(30):
        backlog.park(HOP, f"m{number}")
        backlog.park(HOP, f"m{number}")  # once more changes nothing
    assert len(backlog) == 30
    said = [backlog.end(HOP, False) for _ in range(10)]
    assert said == [False] * 9 + [True]
    backlog.unpark(never, 7.0)
    assert drain(backlog, 7.0) == [f"m{number}" for number in range(10)]
    assert len(backlog) == 20
    backlog.unpark(lambda hop: hop is HOP, 7.0)
    assert drain(backlog, 7.0) == []


def test_after_a_failure_one_job_tells_whether_the_next_hop_works():
    backlog = Backlog(1000)
    for _ in range(3):
        backlog.begin(HOP)
    assert not backlog.end(HOP, True)
    assert backlog.is_full(HOP)
    for number in range(3):
        backlog.park(HOP, f"m{number}")
    backlog.end(HOP, True)
    assert backlog.end(HOP, True)
    backlog.unpark(never, 1.0)
    assert drain(backlog, 1.0) == ["m0"]
    backlog.begin(HOP)
    backlog.unpark(never, 1.0)
    assert drain(backlog, 1.0) == []
    assert backlog.end(HOP, False)
    backlog.unpark(never, 1.0)
    assert drain(backlog, 1.0) == ["m1", "m2"]


def test_what_nobody_waits_for_is_forgotten():
    backlog = Backlog(1000)
    backlog.suspect(HOP)
    backlog.suspect(OTHER)
    backlog.forget(lambda hop: hop is OTHER)
    for hop, full in ((HOP, False), (OTHER, True)):
        backlog.begin(hop)
        assert backlog.is_full(hop) is full
