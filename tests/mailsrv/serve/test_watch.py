"""The watch: who is in is rung at announcements of the account, and at times without any."""

import queue
import threading

from mailsrv.serve.watch import Watch


class Announcements:
    """Gives what the test puts in; an empty set for a time that passed without any."""

    def __init__(self) -> None:
        self.coming: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        self.closed = threading.Event()

    def changed(self, seconds):
        return self.coming.get(timeout=20)

    def close(self) -> None:
        self.closed.set()


def test_an_announcement_rings_the_sessions_of_its_accounts() -> None:
    announcements = Announcements()
    watch, rung = Watch(announcements), []
    rings = {name: lambda name=name: rung.append(name) for name in ("alice 1", "alice 2", "bob")}
    for name, ring in rings.items():
        watch.enter(name.split()[0], ring)
    announcements.coming.put({"alice", "nobody"})
    watch.listen()
    assert sorted(rung) == ["alice 1", "alice 2"]
    watch.leave("alice", rings["alice 1"])
    announcements.coming.put({"alice", "bob"})
    watch.listen()
    assert sorted(rung[2:]) == ["alice 2", "bob"]
    watch.leave("alice", rings["alice 2"])
    watch.leave("bob", rings["bob"])
    assert watch._rings == {}


def test_everybody_is_rung_within_one_round() -> None:
    announcements = Announcements()
    watch, rung = Watch(announcements, look_seconds=8), []
    for number in range(100):
        watch.enter(f"account{number % 7}", lambda number=number: rung.append(number))
    for _ in range(8):
        announcements.coming.put(set())
        before = len(rung)
        watch.listen()
        assert len(rung) - before < 100
    assert sorted(rung) == list(range(100))


def test_run_ends_after_stop_and_closes() -> None:
    announcements = Announcements()
    watch = Watch(announcements)
    thread = threading.Thread(target=watch.run)
    thread.start()
    watch.stop()
    announcements.coming.put(set())
    thread.join(20)
    assert announcements.closed.is_set()
