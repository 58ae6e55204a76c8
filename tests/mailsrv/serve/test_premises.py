import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from mailsrv.errors import Busy, Refused
from mailsrv.serve import premises
from mailsrv.serve.premises import Premises
from mailsrv.serve.privileges import Identity
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.lock import Lock


def make(data_dir, drops=False):
    identity = Identity(12345, 12346, "x", drops)
    return Premises(str(data_dir), identity, Disk(), SystemClock())


def test_a_new_data_dir(tmp_path):
    make(tmp_path / "new" / "data").prepare()
    data = tmp_path / "new" / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert (data / "FORMAT").read_text() == "1\n"
    for name in ("accounts", "decisions", "run/argon2", "run/watch", "spool/queue", "spool/corrupt"):
        assert (data / name).is_dir()
    make(data).prepare()  # twice is once


@pytest.fixture
def open_path():
    """A directory that every user can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="mailsrv-premises-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@root
def test_what_root_makes_belongs_to_the_service(open_path):
    data = open_path / "data"
    make(data, drops=True).prepare()
    assert (data.stat().st_uid, data.stat().st_gid) == (12345, 12346)
    for name in ("FORMAT", "run", "run/argon2", "run/bans.lock", "spool", "spool/queue"):
        assert ((data / name).stat().st_uid, (data / name).stat().st_gid) == (12345, 12346)


@root
def test_root_follows_no_links_of_the_service(open_path):
    data, precious = open_path / "data", open_path / "precious"
    make(data, drops=True).prepare()
    (precious / "tmp").mkdir(parents=True)
    shutil.rmtree(data / "spool")
    os.symlink(precious, data / "spool")
    with pytest.raises(Refused, match="Permission denied"):
        make(data, drops=True).prepare()
    assert (precious / "tmp").stat().st_uid == 0
    assert os.listdir(precious) == ["tmp"]


@root
def test_a_data_dir_of_somebody_else_is_not_taken(open_path):
    data = open_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 4711, 4711)
    with pytest.raises(Refused, match="Permission denied"):
        make(data, drops=True).prepare()
    assert data.stat().st_uid == 4711


@root
def test_a_directory_of_roots_with_something_else_in_it_is_not_given_away(open_path):
    (open_path / "precious").touch()
    with pytest.raises(Refused, match="holds precious, which is not of mailsrv"):
        make(open_path, drops=True).prepare()
    assert open_path.stat().st_uid == 0
    (open_path / "precious").rename(open_path / "lost+found")
    make(open_path, drops=True).prepare()
    assert open_path.stat().st_uid == 12345


def test_another_format_is_refused(tmp_path):
    (tmp_path / "FORMAT").write_text("77\n")
    with pytest.raises(Refused, match="77"):
        make(tmp_path).prepare()


def test_one_server_at_a_time(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    first.prepare()
    first.take(lambda text: None)
    assert (tmp_path / "run" / "pid").read_text() == f"{os.getpid()}\n"
    with pytest.raises(Refused, match=f"already served by process {os.getpid()}; `mailsrv stop` ends it"):
        second.take(lambda text: None)
    first.release()
    assert not (tmp_path / "run" / "pid").exists()
    second.take(lambda text: None)
    second.release()


def test_the_workers_of_a_dead_server_are_waited_for(tmp_path):
    new = make(tmp_path)
    new.prepare()
    said = []
    old = Lock(str(tmp_path / "run" / "set"), wait=False)
    old.__enter__()

    def say(text):
        said.append(text)
        # The old workers learn of it before the wait: they read whom run/pid names.
        assert new.holder() == str(os.getpid())
        old.__exit__()

    new.take(say)
    assert said == ["waiting for the workers of an earlier server to end"]
    new.release()


def test_a_lock_whose_holder_is_dead_is_waited_for(tmp_path):
    new = make(tmp_path)
    new.prepare()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / "run" / "pid").write_text(f"{child}\n")
    left_over = Lock(str(tmp_path / "run" / "lock"), wait=False)
    left_over.__enter__()
    threading.Timer(0.1, left_over.__exit__).start()
    new.take(lambda text: None)
    assert new.holder() == str(os.getpid())
    new.release()


def test_the_wait_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(premises, "SET_SECONDS", 0.0)
    new = make(tmp_path)
    new.prepare()
    with Lock(str(tmp_path / "run" / "set"), wait=False), pytest.raises(Refused, match="do not end"):
        new.take(lambda text: None)


def test_a_worker_keeps_the_sets_lock_and_not_the_supervisors(tmp_path):
    held = make(tmp_path)
    held.prepare()
    held.take(lambda text: None)
    reader, writer = os.pipe()
    left, leaves = os.pipe()
    pid = os.fork()
    if pid == 0:
        held.leave_to_set()
        os.write(leaves, b"x")
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    os.read(left, 1)
    # As if the supervisor were killed: its descriptors close, the child's stay.
    held._lock.__exit__()
    held._set.__exit__()
    with Lock(str(tmp_path / "run" / "lock"), wait=False):
        pass
    with pytest.raises(Busy), Lock(str(tmp_path / "run" / "set"), wait=False):
        pass
    for descriptor in (writer, left, leaves):
        os.close(descriptor)
    os.waitpid(pid, 0)
    with Lock(str(tmp_path / "run" / "set"), wait=False):
        pass
