"""Quota by maildirsize: counting, recounting in doubt, and several processes at once."""

import os
import threading

import pytest

from mailsrv.store import quota as module
from mailsrv.store.account import Store
from mailsrv.store.limits import Limits
from mailsrv.store.quota import MAX_OCTETS, OLD_SECONDS, Quota, parse
from mailsrv.store.values import Usage
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock


class Box:
    """One account with its quota."""

    def __init__(self, path, clock=None):
        self.disk = Disk()
        self.store = Store(self.disk, str(path))
        self.store.prepare("alice")
        self.home = path / "accounts/alice"
        self.file = self.home / "maildirsize"
        self.clock = clock or SystemClock()
        self.quota = self.another()

    def another(self):
        """The quota of another process."""
        return Quota(self.disk, self.store, self.clock)

    def put(self, name, octets=b"", directory="new"):
        (self.home / directory).mkdir(parents=True, exist_ok=True)
        (self.home / directory / name).write_bytes(octets)


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


def test_without_a_limit_nothing_is_counted(box):
    assert box.quota.room("alice", 0, 10**12)
    box.quota.add("alice", 100)
    assert not box.file.exists()


def test_the_count_begins_with_what_lies_there(box):
    box.put("1.a.h,S=100:2,S", directory="cur")
    box.put("1.b.h,S=50")
    box.put("dropped-by-hand", b"x" * 7)
    box.put("1.c.h,S=1000:2,", directory=".Sent/cur")
    box.put("ignored,S=999", directory="tmp")
    box.put("ignored,S=999", directory="other/cur")
    assert box.quota.room("alice", 2000, 843)
    assert box.file.read_text() == "2000S\n1157 4\n"
    assert not box.quota.room("alice", 2000, 844)


def test_deliveries_are_added_by_every_process(box):
    first, second = box.quota, box.another()
    for quota in (first, second):
        assert quota.room("alice", 1000, 1)
    first.add("alice", 400)
    second.add("alice", 500)
    assert box.file.read_text() == "1000S\n0 0\n400 1\n500 1\n"
    assert first.usage("alice", 1000).octets == second.usage("alice", 1000).octets == 900
    assert first.room("alice", 1000, 100)


def test_reading_costs_one_stat_while_nothing_changes(box, monkeypatch):
    assert box.quota.room("alice", 1000, 1)
    monkeypatch.setattr(box.disk, "read", lambda *_: pytest.fail("was read again"))
    assert box.quota.room("alice", 1000, 1)
    assert box.quota.room("alice", 1000, 999)


def test_over_quota_after_additions_is_recounted(box):
    """The additions may be wrong: a mail program that knows no maildirsize has removed messages."""
    assert box.quota.room("alice", 1000, 1)
    box.quota.add("alice", 1000)
    assert box.quota.room("alice", 1000, 500)
    assert box.file.read_text() == "1000S\n0 0\n"


def test_really_over_quota_is_recounted_only_when_the_count_is_old(tmp_path, monkeypatch):
    clock = FakeClock()
    box = Box(tmp_path, clock)
    box.put("1.b.h,S=1000")
    assert not box.quota.room("alice", 1000, 0)
    os.utime(box.file, (clock.now(), clock.now()))
    (box.home / "new/1.b.h,S=1000").unlink()
    assert not box.quota.room("alice", 1000, 0)
    clock.advance(OLD_SECONDS + 1)
    assert box.quota.room("alice", 1000, 0)


def test_another_limit_is_a_new_count(box):
    assert box.quota.room("alice", 1000, 1)
    box.put("1.b.h,S=300")
    assert not box.another().room("alice", 500, 201)
    assert box.file.read_text() == "500S\n300 1\n"


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "\n",
        "x\n",
        "1000S\n12",
        "1000S\n1 2 3\n",
        "1000S\nmany 1\n",
        "1000S\n-5 1\n",
        "1000S,5C\n0 0\n",
        "\0\0\0\0\n",
        "1000S\n" + "0 0\n" * MAX_OCTETS,
    ],
    ids=range(10),
)
def test_a_damaged_file_is_made_again(box, damage):
    box.put("1.b.h,S=300")
    box.file.write_text(damage)
    assert box.quota.room("alice", 1000, 700)
    assert box.file.read_text() == "1000S\n300 1\n"


def test_a_long_file_is_made_again(box):
    assert box.quota.room("alice", 10**9, 1)
    for _ in range(MAX_OCTETS // 5):
        box.quota.add("alice", 100)
    assert box.file.stat().st_size > MAX_OCTETS
    assert box.quota.room("alice", 10**9, 1)
    assert box.file.read_text() == "1000000000S\n0 0\n"


def test_other_programs_subtract(box):
    assert box.quota.room("alice", 1000, 1)
    box.quota.add("alice", 600)
    with open(box.file, "a") as file:
        file.write("        -600           -1\n")
    usage = box.quota.usage("alice", 1000)
    assert (usage.octets, usage.messages, usage.additions) == (0, 0, 2)


def test_a_file_that_was_removed_is_made_again(box):
    assert box.quota.room("alice", 1000, 1)
    box.file.unlink()
    box.quota.add("alice", 10)
    assert not box.file.exists()
    box.put("1.b.h,S=10")
    assert box.quota.room("alice", 1000, 1)
    assert box.file.read_text() == "1000S\n10 1\n"


def test_an_account_without_a_maildir_has_room(tmp_path):
    quota = Quota(Disk(), Store(Disk(), str(tmp_path)), SystemClock())
    assert quota.room("bob", 1000, 1000)
    assert not quota.room("bob", 1000, 1001)
    quota.add("bob", 10)
    assert os.listdir(tmp_path) == []


def test_processes_that_add_at_once_lose_nothing(box):
    assert box.quota.room("alice", 10**9, 1)
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            for _ in range(50):
                box.quota.add("alice", 7)
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    usage = box.another().usage("alice", 10**9)
    assert (usage.octets, usage.messages) == (1400, 200)


def test_the_name_is_the_one_of_maildir_plus_plus():
    assert module.FILE == "maildirsize"
    assert parse(b"5S\n").octets == 0


def test_threads_that_want_a_count_at_once_share_one(box, monkeypatch):
    """The second one waits for the first one's lock; then it has nothing left to do."""
    counted, waiting = [], threading.Event()
    real = box.store.mailboxes

    def mailboxes(account):
        counted.append(account)
        second.start()
        waiting.wait(20)
        return real(account)

    class Lock:
        """Tells when somebody comes to it."""

        def __init__(self):
            self.lock = threading.Lock()

        def __enter__(self):
            if counted:
                waiting.set()
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    box.quota._recounting = Lock()
    second = threading.Thread(target=box.quota.room, args=("alice", 1000, 1))
    monkeypatch.setattr(box.store, "mailboxes", mailboxes)
    assert box.quota.room("alice", 1000, 1)
    second.join()
    assert counted == ["alice"]


def test_messages_are_counted_too(box):
    most = {"alice": 3}
    quota = Quota(box.disk, box.store, box.clock, lambda account: most.get(account, 0))
    box.put("1.a.h,S=100")
    assert quota.room("alice", 0, 10**12)
    assert box.file.read_text() == "3C\n100 1\n"
    for number in (2, 3):
        box.put(f"1.{number}.h,S=100")
        quota.add("alice", 100)
    assert not quota.room("alice", 0, 1)
    # Another limit: counted again.
    most["alice"] = 4
    assert quota.room("alice", 400, 100)
    assert not quota.room("alice", 400, 101)
    assert box.file.read_text() == "400S,4C\n300 3\n"
    os.unlink(box.home / "new/1.2.h,S=100")
    assert quota.room("alice", 400, 101) is False  # nothing was added since the count, and it is young
    assert quota.room("bob", 0, 10**12)


def test_what_was_set_holds_at_once(box):
    box.put("1.a.h,S=100")
    limits = Limits(box.disk, box.store.data_dir, box.clock)
    assert box.quota.room("alice", 0, 10**12)
    limits.set("alice", Usage(150, 2))
    assert box.quota.room("alice", 0, 50)
    assert not box.quota.room("alice", 0, 51)
    assert box.file.read_text() == "150S,2C\n100 1\n"
    limits.set("alice", Usage())
    assert box.quota.room("alice", 1, 10**12)
    limits.set("alice", None)
    assert not box.quota.room("alice", 1, 1)


@pytest.mark.parametrize(("head", "bounds"), [(b"5S", (5, 0)), (b"7C", (0, 7)), (b"5S,7C", (5, 7))])
def test_limits_of_both_kinds(head, bounds):
    usage = parse(head + b"\n1 1\n")
    assert (usage.limit, usage.most) == bounds


@pytest.mark.parametrize("head", [b"", b"5", b"S", b"5S,", b"5S7C", b",7C", b"7C,5S", b"-1S"])
def test_limits_that_are_none(head):
    with pytest.raises(ValueError, match="first line"):
        parse(head + b"\n1 1\n")
