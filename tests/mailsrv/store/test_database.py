"""The SQLite door: made once, shared by threads and processes, and what is done with a file that is no good."""

import multiprocessing
import os
import signal
import sqlite3
import threading

import pytest

from mailsrv.errors import StorageError, StorageFull
from mailsrv.store.database import Damaged, Database, Schema
from mailsrv.system.disk import Disk

SCHEMA = Schema(1, ("CREATE TABLE words (word TEXT NOT NULL)",), durable=False)
COUNT = "SELECT count(*) FROM words"
ADD = "INSERT INTO words VALUES (?)"


def make(path, schema=SCHEMA, most=4):
    return Database(Disk(), str(path / "x.sqlite3"), schema, str(path / "lock"), most)


def add(database, *words):
    with database.write() as connection:
        connection.executemany(ADD, [(word,) for word in words])


def words(database):
    return [row[0] for row in database.read("SELECT word FROM words ORDER BY word")]


def test_it_is_made_when_it_is_first_asked_and_is_private(tmp_path):
    database = make(tmp_path)
    assert not (tmp_path / "x.sqlite3").exists()
    add(database, "one")
    assert words(make(tmp_path)) == ["one"]
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in tmp_path.glob("x.*")}
    assert modes == {"x.sqlite3": 0o600, "x.sqlite3-wal": 0o600, "x.sqlite3-shm": 0o600}


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_how_it_is_opened(tmp_path, durable, synchronous):
    database = make(tmp_path, Schema(7, SCHEMA.statements, durable=durable))
    assert database.read("PRAGMA journal_mode") == [("wal",)]
    assert database.read("PRAGMA foreign_keys") == [(0,)]
    assert database.read("PRAGMA synchronous") == [(synchronous,)]
    assert database.read("PRAGMA user_version") == [(7,)]


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    database = make(tmp_path)
    add(database, "one")
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(ADD, ("two",))
        raise KeyError
    with pytest.raises(StorageError, match="NOT NULL"), database.write() as connection:
        connection.execute(ADD, ("three",))
        connection.execute(ADD, (None,))
    assert words(database) == ["one"]
    add(database, "four")
    assert words(database) == ["four", "one"]


def test_a_bulk_change_leaves_the_checkpoint_to_the_next(tmp_path):
    database = make(tmp_path)
    for bulk, checkpointed in ((True, False), (False, True)):
        with database.write(bulk) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS many (octets BLOB)")
            connection.execute("INSERT INTO many VALUES (zeroblob(?))", (1200 * 4096 if bulk else 1,))
        assert (os.path.getsize(database.path) > 1000 * 4096) is checkpointed
        assert database.read("PRAGMA wal_autocheckpoint") == [(1000,)]
    length = os.path.getsize(database.path + "-wal")
    for _ in range(20):
        with database.write() as connection:
            connection.execute("INSERT INTO many VALUES (zeroblob(1))")
    assert os.path.getsize(database.path + "-wal") == length  # it is overwritten, and neither cut nor longer


def test_threads_share_few_connections(tmp_path):
    database = make(tmp_path, most=2)
    threads = [threading.Thread(target=add, args=(database, f"{n:02}")) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words(database) == [f"{n:02}" for n in range(24)]
    assert len(database._idle) <= 2


def fill(path, start, number):
    start.wait()
    database = make(path)
    for at in range(20):
        add(database, f"{number} {at}")


def test_processes_that_begin_at_once_make_one_database(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Event()
    processes = [context.Process(target=fill, args=(tmp_path, start, number)) for number in range(4)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert make(tmp_path).read(COUNT) == [(80,)]


def test_no_connection_crosses_a_fork(tmp_path):
    database = make(tmp_path)
    add(database, "before")
    parents = database._idle[0]

    def child():
        add(database, "child")
        assert parents in database._abandoned
        assert parents not in database._idle

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    add(database, "after")
    assert database._idle == [parents]
    assert words(database) == ["after", "before", "child"]


def test_a_writer_waits_no_longer_than_it_may(tmp_path):
    first = make(tmp_path)
    second = make(tmp_path, Schema(1, SCHEMA.statements, wait_seconds=0.01))
    assert second.read(COUNT) == [(0,)]
    with first.write() as connection:
        connection.execute(ADD, ("one",))
        with pytest.raises(StorageError, match="locked"), second.write():
            pass
        assert second.read(COUNT) == [(0,)]  # readers do not wait for writers
    add(second, "two")
    assert words(first) == ["one", "two"]


def test_no_room_is_told_from_other_faults(tmp_path):
    database = make(tmp_path)
    assert database.read("PRAGMA max_page_count = 3") == [(3,)]
    with pytest.raises(StorageFull, match="make room"):
        add(database, "x" * 100_000)
    assert words(database) == []


def test_no_directory(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        make(tmp_path / "nowhere").read(COUNT)


def test_a_file_of_another_version_is_left_alone(tmp_path):
    add(make(tmp_path), "one")
    with pytest.raises(StorageError, match="has version 1, and this program knows 2") as caught:
        make(tmp_path, Schema(2, SCHEMA.statements)).read(COUNT)
    assert not isinstance(caught.value, Damaged)
    assert words(make(tmp_path)) == ["one"]


THIRD = Schema(
    3,
    ("CREATE TABLE words (word TEXT NOT NULL, first TEXT, second TEXT)",),
    upgrades={
        1: ("ALTER TABLE words ADD COLUMN first TEXT", "UPDATE words SET first = 'a'"),
        2: ("ALTER TABLE words ADD COLUMN second TEXT", "UPDATE words SET second = first || 'b'"),
    },
)
ALL = "SELECT word, first, second FROM words ORDER BY word"


def test_a_file_of_an_older_version_is_brought_to_ours(tmp_path):
    add(make(tmp_path), "one")
    assert make(tmp_path, THIRD).read(ALL) == [("one", "a", "ab")]
    assert make(tmp_path, THIRD).read("PRAGMA user_version") == [(3,)]
    with pytest.raises(StorageError, match="has version 3, and this program knows 1"):
        words(make(tmp_path))


def test_a_step_that_is_not_known_or_fails_leaves_the_file_alone(tmp_path):
    add(make(tmp_path), "one")
    unknown = Schema(3, THIRD.statements, upgrades={2: THIRD.upgrades[2]})
    with pytest.raises(StorageError, match="has version 1, and this program knows 3"):
        make(tmp_path, unknown).read(ALL)
    wrong = Schema(2, THIRD.statements, upgrades={1: (*THIRD.upgrades[1], "UPDATE nowhere SET x = 1")})
    with pytest.raises(StorageError, match="no such table: nowhere"):
        make(tmp_path, wrong).read(ALL)
    assert words(make(tmp_path)) == ["one"]
    assert make(tmp_path).read("SELECT count(*) FROM pragma_table_info('words')") == [(1,)]


class Dying(sqlite3.Connection):
    """A process that is killed before one of the statements that change something."""

    left = 0

    def execute(self, statement, *values):
        if not statement.startswith("PRAGMA") or "user_version =" in statement:
            Dying.left -= 1
            if Dying.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *values)


def die_upgrading(path, at):
    Dying.left = at
    plain = sqlite3.connect
    sqlite3.connect = lambda *args, **options: plain(*args, factory=Dying, **options)
    make(path, THIRD).read("SELECT 1")


def upgrade(path, start):
    start.wait()
    assert make(path, THIRD).read(ALL) == [("one", "a", "ab")]


def test_processes_that_upgrade_at_once_and_are_killed_meanwhile(tmp_path):
    """At every statement: the file is of the old version or the new, and whoever comes next has the new."""
    context = multiprocessing.get_context("fork")
    for at in range(7):
        path = tmp_path / str(at)
        path.mkdir()
        add(make(path), "one")
        start = context.Event()
        killed = context.Process(target=die_upgrading, args=(path, at))
        others = [context.Process(target=upgrade, args=(path, start)) for _ in range(2)]
        for process in others:
            process.start()
        if at % 2:
            start.set()  # beside the one that dies
        killed.start()
        killed.join()
        start.set()
        for process in others:
            process.join()
            assert process.exitcode == 0
        assert killed.exitcode in ((-signal.SIGKILL, 0) if at % 2 else (-signal.SIGKILL,))
        assert make(path, THIRD).read("PRAGMA integrity_check") == [("ok",)]


def damage(path):
    """Write over everything but the first page, whole as on a bad disk."""
    octets = path.read_bytes()
    path.write_bytes(octets[:4096] + b"\x5a" * (len(octets) - 4096))


def build_damaged(path):
    connection = sqlite3.connect(path / "x.sqlite3")
    connection.execute("PRAGMA user_version = 1")
    connection.execute(SCHEMA.statements[0])
    connection.executemany(ADD, [("x" * 1000,)] * 20)
    connection.commit()
    connection.close()
    damage(path / "x.sqlite3")


@pytest.mark.parametrize(
    "spoil", [lambda path: (path / "x.sqlite3").write_bytes(b"no database at all" * 99), build_damaged]
)
def test_a_damaged_file_is_set_aside_once(tmp_path, spoil):
    spoil(tmp_path)
    spoiled = (tmp_path / "x.sqlite3").read_bytes()
    (tmp_path / "x.damaged").write_text("of an earlier time")
    database, other = make(tmp_path), make(tmp_path)
    with pytest.raises(Damaged) as caught:
        words(database)
    with pytest.raises(Damaged) as seen_by_other:
        words(other)
    assert database.set_aside(caught.value, str(tmp_path / "x.damaged"))
    assert (tmp_path / "x.damaged").read_bytes() == spoiled
    add(database, "new")
    # Whoever saw the same damage leaves the new file alone and uses it.
    assert not other.set_aside(seen_by_other.value, str(tmp_path / "x.damaged"))
    assert not database.set_aside(caught.value, str(tmp_path / "x.damaged"))
    add(other, "newer")
    assert words(database) == ["new", "newer"]


def test_a_file_that_was_taken_away_is_made_again(tmp_path):
    database = make(tmp_path)
    add(database, "one")
    for path in tmp_path.glob("x.sqlite3*"):
        path.unlink()
    assert words(database) == []
    add(database, "two")
    assert words(make(tmp_path)) == ["two"]


def test_a_new_log_survives_the_last_connection_to_the_old_file(tmp_path):
    """The old file's connections are still there when their database object is done: closing them would take away the
    write-ahead log of the new file, which has the same name."""
    old = make(tmp_path)
    add(old, "one")
    for path in tmp_path.glob("x.sqlite3*"):
        path.unlink()
    new = make(tmp_path)
    add(new, "two")
    log = os.stat(tmp_path / "x.sqlite3-wal").st_ino
    assert words(old) == ["two"]
    old.close()
    assert os.stat(tmp_path / "x.sqlite3-wal").st_ino == log
    add(new, "three")
    assert words(make(tmp_path)) == ["three", "two"]


def test_a_file_is_not_set_aside_while_another_one_opens_it(tmp_path, monkeypatch):
    """Who opened the damaged file and then found the new one's log would take that log away when it is closed."""
    path = tmp_path / "x.sqlite3"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(Damaged) as caught:
        words(make(tmp_path))
    connect, replacing = sqlite3.connect, []

    def replace():
        other = make(tmp_path)
        other.set_aside(caught.value, str(tmp_path / "x.damaged"))
        add(other, *"abcdefgh")
        done.append(other)

    def connect_and_be_replaced(*arguments, **more):
        connection = connect(*arguments, **more)
        if not replacing:
            replacing.append(threading.Thread(target=replace))
            replacing[0].start()
            replacing[0].join(0.2)  # it waits for this one to have opened
        return connection

    done = []
    monkeypatch.setattr(sqlite3, "connect", connect_and_be_replaced)
    with pytest.raises(Damaged):
        words(make(tmp_path))
    replacing[0].join()
    assert words(done[0]) == words(make(tmp_path)) == list("abcdefgh")
    assert (tmp_path / "x.damaged").read_bytes() == b"garbage" * 1000


def test_threads_that_find_the_damage_at_once_do_not_wait_for_each_other_for_ever(tmp_path):
    """One sets the file aside, another one begins the new file: both need the same two locks."""
    for _ in range(20):
        (tmp_path / "x.sqlite3").write_bytes(b"garbage" * 1000)
        with pytest.raises(Damaged) as caught:
            words(make(tmp_path))
        database = make(tmp_path)
        database.set_aside(caught.value, str(tmp_path / "x.damaged"))
        aside = threading.Thread(target=database.set_aside, args=(caught.value, str(tmp_path / "x.damaged")))
        begin = threading.Thread(target=add, args=(database, "one"))
        for thread in (aside, begin):
            thread.start()
        for thread in (aside, begin):
            thread.join(60)
            assert not thread.is_alive()
        database.set_aside(Damaged("", os.stat(tmp_path / "x.sqlite3").st_ino), str(tmp_path / "x.damaged"))


def test_some_of_the_rows_are_read_when_they_are_large(tmp_path):
    database = make(tmp_path)
    add(database, *("x" * 10 for _ in range(100)))
    statement = "SELECT word, NULL, 1 FROM words LIMIT ?"
    assert database.read_within(statement, (100,), (0, 1), 1000) == ([("x" * 10, None, 1)] * 100, 1000, True)
    rows, octets, whole = database.read_within(statement, (100,), (0,), 200)
    assert (len(rows), octets, whole) == (32, 320, False)
    assert database.read_within(statement, (5,), (0,), 1) == ([("x" * 10, None, 1)] * 5, 50, True)
    add(database, "another")  # nothing of it keeps others from writing
