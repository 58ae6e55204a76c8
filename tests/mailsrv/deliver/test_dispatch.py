"""Who delivers what when: threads per next hop, back-off, and that nobody waits for the silent ones."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import QueueConfig
from mailsrv.deliver.dispatch import Destination, Dispatcher
from mailsrv.deliver.route import HopKind, NextHop
from tests.fakes.clock import FakeClock

DEADLINE = 20.0


def hop(name: str, kind: HopKind = HopKind.DIRECT) -> NextHop:
    return NextHop(kind, name)


def job(name: str, number: int = 0, kind: HopKind = HopKind.DIRECT):
    """What the dispatcher knows of a job: its next hop."""
    return SimpleNamespace(hop=hop(name, kind), number=number)


class Desk:
    """A dispatcher whose threads do what the test lets them do: each says that it has taken a job, then waits until the
    test tells it how that ends."""

    def __init__(self, *, idle_seconds: float = 0.0, **queue: int) -> None:
        self.clock = FakeClock()
        self.idle_seconds = idle_seconds
        self.changed = threading.Condition()
        self.held: dict[str, list[int]] = {}
        self.done: list[tuple[str, int]] = []
        self.ended: list[tuple[str, int]] = []  # by the failure of another job
        self.verdicts: dict[str, list[str]] = {}
        settings = QueueConfig(jitter_percent=0, **queue)
        self.dispatcher = Dispatcher(settings, self.clock, lambda _bound: 0, self.carry)

    def carry(self, dispatcher: Dispatcher, destination: Destination) -> None:
        name, first = destination.hop.host, True
        while one := dispatcher.take(destination, 0.0 if first else self.idle_seconds):
            first = False
            with self.changed:
                self.held.setdefault(name, []).append(one.number)
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self.verdicts.get(name), DEADLINE)
                verdict = self.verdicts[name].pop(0)
                self.held[name].remove(one.number)
                self.changed.notify_all()
            if verdict == "works":
                dispatcher.worked(destination)
            elif verdict == "fails":
                others = dispatcher.failed(destination, one, "it is dead")
                if others is None:
                    return
                with self.changed:
                    self.ended += [(name, other.number) for other in others]
            with self.changed:
                self.done.append((name, one.number))
                self.changed.notify_all()

    def put(self, name: str, *numbers: int, kind: HopKind = HopKind.DIRECT) -> None:
        for number in numbers:
            self.dispatcher.put(job(name, number, kind))

    def tell(self, name: str, *verdicts: str) -> None:
        with self.changed:
            self.verdicts.setdefault(name, []).extend(verdicts)
            self.changed.notify_all()

    def until(self, look: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(look, DEADLINE), (self.held, self.done)

    def until_holds(self, name: str, count: int) -> list[int]:
        self.until(lambda: len(self.held.get(name, [])) == count)
        return sorted(self.held[name])

    def until_done(self, count: int) -> list[tuple[str, int]]:
        self.until(lambda: len(self.done) == count)
        return self.done

    def until_threads(self, count: int) -> None:
        """Threads end without a word to the test."""
        pause, end = threading.Event(), time.monotonic() + DEADLINE
        while self.dispatcher.threads() != count:
            assert time.monotonic() < end, self.dispatcher.threads()
            pause.wait(0.005)

    def close(self) -> None:
        self.dispatcher.stop()
        for name in list(self.held):
            self.tell(name, *["nothing"] * 50)


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**options: int) -> Desk:
        made.append(Desk(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_new_next_hop_gets_one_thread_until_it_works(desk: Callable[..., Desk]) -> None:
    one = desk(connections_per_hop=3)
    one.put("a", 1, 2, 3, 4, 5)
    assert one.until_holds("a", 1) == [1]
    assert one.dispatcher.threads() == 1
    one.tell("a", "works")
    one.until(lambda: ("a", 1) in one.done)
    one.tell("a", "works")
    one.until(lambda: len(one.done) == 2)
    one.tell("a", "works", "works", "works")
    assert sorted(one.until_done(5)) == [("a", number) for number in range(1, 6)]


def test_the_limit_of_a_next_hop(desk: Callable[..., Desk]) -> None:
    one = desk(connections_per_hop=3)
    one.put("a", 0)
    one.tell("a", "works")
    one.until_done(1)
    one.dispatcher.worked(one.dispatcher.destinations()[0])
    one.put("a", *range(1, 9))
    assert len(one.until_holds("a", 3)) == 3
    assert one.dispatcher.threads() == 3


def test_silent_hosts_leave_threads_for_those_that_work(desk: Callable[..., Desk]) -> None:
    one = desk(connections=5)
    one.put("good", 0)
    one.tell("good", "works")
    one.until_done(1)
    for name in "abcdefgh":
        one.put(name, 1)
    one.until(lambda: sum(len(held) for held in one.held.values()) == 4)
    one.put("good", 1)
    assert one.until_holds("good", 1) == [1]
    one.tell("good", "works")
    one.until_done(2)
    for name in "abcdefgh":
        one.tell(name, "fails")
    one.until_done(10)


def test_local_delivery_is_no_stranger(desk: Callable[..., Desk]) -> None:
    one = desk(connections=5)
    for name in "abcdefgh":
        one.put(name, 1)
    one.until(lambda: sum(len(held) for held in one.held.values()) == 4)
    one.put("ada", 1, kind=HopKind.LOCAL)
    assert one.until_holds("ada", 1) == [1]


def test_a_next_hop_that_turns_out_to_work_makes_room_for_strangers(desk: Callable[..., Desk]) -> None:
    one = desk(connections=5)
    for name in "abcde":
        one.put(name, 1)
    one.until(lambda: sum(len(held) for held in one.held.values()) == 4)
    one.put("a", 2)
    one.tell("a", "works")
    assert one.until_holds("e", 1) == [1]


def test_a_failure_ends_all_that_wait_and_is_remembered(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.put("a", 1, 2, 3)
    one.until_holds("a", 1)
    one.tell("a", "fails")
    one.until_done(1)
    assert one.ended == [("a", 2), ("a", 3)]
    assert one.dispatcher.left_alone(hop("a")) == (one.clock.now() + 300, "it is dead")
    assert one.dispatcher.left_alone(hop("b")) == (0.0, "")
    one.clock.advance(300)
    assert one.dispatcher.left_alone(hop("a")) == (0.0, "")


def test_release_lets_everything_be_tried(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.put("a", 1)
    one.tell("a", "fails")
    one.until_done(1)
    one.dispatcher.release()
    assert one.dispatcher.left_alone(hop("a")) == (0.0, "")


def test_one_connection_too_many(desk: Callable[..., Desk]) -> None:
    """A host that takes two connections and no third one is not dead: what the third was to carry goes over the
    others."""
    one = desk(connections_per_hop=3)
    one.put("a", 0)
    one.until_holds("a", 1)
    one.put("a", 1, 2, 3, 4, 5)
    one.tell("a", "works")
    one.until_holds("a", 2)
    one.tell("a", "works")
    one.until_holds("a", 3)
    one.tell("a", "fails")
    one.until_threads(2)
    assert len(one.until_holds("a", 2)) == 2
    assert one.dispatcher.left_alone(hop("a")) == (0.0, "")
    one.put("a", 6)
    assert one.dispatcher.threads() == 2
    one.tell("a", *["works"] * 5)
    assert sorted(one.until_done(7)) == [("a", number) for number in range(7)]
    assert one.ended == []


def test_more_connections_are_tried_again_in_time(desk: Callable[..., Desk]) -> None:
    one = desk(connections_per_hop=2)
    one.put("a", 0)
    one.until_holds("a", 1)
    one.put("a", *range(1, 60))
    one.tell("a", "works")
    one.until_holds("a", 2)
    one.tell("a", "fails")
    one.until_threads(1)
    one.tell("a", *["works"] * 50)
    one.until_holds("a", 2)
    one.tell("a", *["works"] * 9)
    one.until_done(60)
    assert one.ended == []


def test_a_next_hop_that_worked_gets_a_second_look(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.put("a", 0)
    one.tell("a", "works")
    one.until_done(1)
    one.put("a", 1)
    one.until_holds("a", 1)
    one.tell("a", "fails", "fails")
    one.until_done(2)
    assert one.done[-1] == ("a", 1)
    assert one.dispatcher.left_alone(hop("a"))[0] > 0


def test_an_idle_thread_takes_what_comes(desk: Callable[..., Desk]) -> None:
    one = desk(idle_seconds=DEADLINE)
    one.put("a", 1)
    one.tell("a", "works")
    one.until_done(1)
    one.put("a", 2)
    one.tell("a", "works")
    one.until_done(2)
    assert one.dispatcher.threads() == 1


def test_stop_gives_back_what_nobody_has_begun(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.put("a", 1, 2, 3)
    one.until_holds("a", 1)
    assert [left.number for left in one.dispatcher.stop()] == [2, 3]
    one.tell("a", "works")
    one.until_done(1)
    one.put("a", 4)
    assert not one.held["a"]


def test_what_is_known_of_a_next_hop_is_forgotten_in_time(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.put("good", 1)
    one.put("bad", 1)
    one.tell("good", "works")
    one.tell("bad", "fails")
    one.until_done(2)
    one.until_threads(0)
    one.dispatcher.forget_idle()
    assert [left.hop.host for left in one.dispatcher.destinations()] == ["bad"]
    one.clock.advance(90_000)
    one.dispatcher.forget_idle()
    assert one.dispatcher.destinations() == []
