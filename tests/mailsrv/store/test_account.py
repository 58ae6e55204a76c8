"""The accounts' Maildirs: made once, durable, and never outside of accounts/."""

import mailbox
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.store import access, feedback_layout, layout, limits, metadata, notify, quota, readers, senders, text_index
from mailsrv.store.account import ACCOUNTS, LEAVES, MARK, Store
from mailsrv.system.disk import Disk
from tests.fakes.disk import FakeDisk
from tests.house.manual import find_tags
from tests.house.source import TOP


def test_a_maildir_is_made_and_is_private(tmp_path):
    store = Store(Disk(), str(tmp_path))
    assert store.new_directory("alice") == f"{tmp_path}/accounts/alice/new"
    assert sorted(os.listdir(tmp_path / "accounts/alice")) == ["cur", "new", "tmp"]
    assert (tmp_path / "accounts/alice").stat().st_mode & 0o777 == 0o700


def test_it_is_durable_whatever_existed_before():
    for existing in ("/d", "/d/accounts", "/d/accounts/alice", "/d/accounts/alice/new"):
        disk = FakeDisk()
        disk._make(existing)
        disk.root.durable = dict(disk.root.names)  # data_dir itself was made before
        Store(disk, "/d").prepare("alice")
        for image in disk.images():
            assert {f"/d/accounts/alice/{leaf}" for leaf in ("tmp", "new", "cur")} <= image.keys()


def test_it_is_prepared_once_per_process():
    disk = FakeDisk()
    disk._make("/d")
    store = Store(disk, "/d")
    store.new_directory("alice")
    disk.operations.clear()
    store.new_directory("alice")
    assert disk.operations == []
    Store(disk, "/d").new_directory("alice")
    assert {operation for operation, _ in disk.operations} == {"sync"}


def test_an_account_that_fails_keeps_no_other_from_being_prepared():
    disk = FakeDisk()
    disk._make("/d")
    store = Store(disk, "/d")
    disk.refuse = lambda operation, path: StorageError("no") if "/bob" in path else None
    with pytest.raises(StorageError):
        store.prepare("alice", "bob", "carol")
    disk.operations.clear()
    assert store.new_directory("alice") and store.new_directory("carol")
    assert disk.operations == []
    with pytest.raises(StorageError):
        store.new_directory("bob")
    disk.refuse = None
    assert store.new_directory("bob") == "/d/accounts/bob/new"


def test_a_mailbox_is_a_marked_maildir_in_the_account(tmp_path):
    store = Store(Disk(), str(tmp_path))
    assert store.new_directory("alice", "Junk") == f"{tmp_path}/accounts/alice/.Junk/new"
    assert sorted(os.listdir(tmp_path / "accounts/alice")) == [".Junk", "cur", "new", "tmp"]
    junk = tmp_path / "accounts/alice/.Junk"
    assert sorted(os.listdir(junk)) == ["cur", "maildirfolder", "new", "tmp"]
    assert (junk / MARK).read_bytes() == b""
    assert [path.stat().st_mode & 0o777 for path in (junk, junk / "new", junk / MARK)] == [0o700, 0o700, 0o600]


def test_it_is_what_other_programs_make(tmp_path):
    store = Store(Disk(), str(tmp_path))
    store.prepare("alice", mailbox="Junk")
    theirs = mailbox.Maildir(tmp_path / "theirs")
    theirs.add_folder("Junk")
    junk = Path(store.directory("alice", "Junk"))
    assert {path.name for path in junk.iterdir()} == {path.name for path in (tmp_path / "theirs/.Junk").iterdir()}
    (junk / "new/1.x.host,S=17").write_bytes(b"Subject: x\r\n\r\nhi")
    (found,) = mailbox.Maildir(store.directory("alice"), create=False).get_folder("Junk")
    assert found["Subject"] == "x"
    # And theirs is taken as it is.
    shutil.move(tmp_path / "theirs", tmp_path / "accounts/bob")
    before = sorted(tmp_path.glob("accounts/bob/**/*"))
    assert store.new_directory("bob", "Junk") == f"{tmp_path}/accounts/bob/.Junk/new"
    assert sorted(tmp_path.glob("accounts/bob/**/*")) == before


def test_a_mailbox_is_durable_whatever_existed_before():
    for existing in ("", "/tmp", "/.Junk", "/.Junk/new", "/.Junk/cur"):
        disk = FakeDisk()
        disk._make(f"/d/accounts/alice{existing}")
        disk.root.durable = dict(disk.root.names)
        Store(disk, "/d").prepare("alice", mailbox="Junk")
        wanted = {f"/d/accounts/alice/{leaf}" for leaf in LEAVES}
        wanted |= {f"/d/accounts/alice/.Junk/{name}" for name in (*LEAVES, MARK)}
        for image in disk.images():
            assert wanted <= image.keys()


def test_a_mailbox_is_prepared_once_per_process_and_inbox_without_it():
    disk = FakeDisk()
    disk._make("/d")
    store = Store(disk, "/d")
    store.new_directory("alice")
    assert not disk.exists("/d/accounts/alice/.Junk")
    store.new_directory("alice", "Junk")
    disk.operations.clear()
    store.new_directory("alice", "Junk")
    store.new_directory("alice")
    assert disk.operations == []
    Store(disk, "/d").new_directory("alice", "Junk")
    assert [operation for operation, _ in disk.operations] == ["sync"] * 4


def test_a_mailbox_that_cannot_be_made_is_tried_again():
    disk = FakeDisk()
    disk._make("/d")
    store = Store(disk, "/d")
    disk.refuse = lambda operation, path: StorageError("no") if path.endswith(MARK) else None
    with pytest.raises(StorageError):
        store.new_directory("alice", "Junk")
    assert not disk.exists("/d/accounts/alice/.Junk/cur")
    disk.refuse = None
    assert store.new_directory("alice", "Junk") == "/d/accounts/alice/.Junk/new"
    assert disk.exists(f"/d/accounts/alice/.Junk/{MARK}")


def make_mailboxes(data_dir, count, barrier):
    store = Store(Disk(), data_dir)
    for number in range(count):
        barrier.wait(60)
        directory = store.new_directory(f"a{number}", "Junk")
        with Disk().open_unnamed(directory) as file:
            file.link(directory, str(os.getpid()))


def test_two_processes_make_the_same_mailbox(tmp_path):
    several = multiprocessing.get_context("fork")
    barrier = several.Barrier(2)
    processes = [several.Process(target=make_mailboxes, args=(str(tmp_path), 10, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    for number in range(10):
        junk = tmp_path / f"accounts/a{number}/.Junk"
        assert sorted(os.listdir(junk)) == ["cur", "maildirfolder", "new", "tmp"]
        assert len(os.listdir(junk / "new")) == 2


@pytest.mark.parametrize("name", [".", "..", "/", "a/b", "../bob", ".Junk", "Junk.old", "Jünk", "a\n", " ", "x" * 65])
def test_a_name_that_no_mailbox_has(tmp_path, name):
    store = Store(Disk(), str(tmp_path))
    with pytest.raises(ValueError):
        store.directory("alice", name)
    with pytest.raises(ValueError):
        store.new_directory("alice", name)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["", ".", "..", "../bob", "a/b", ".hidden", "Alice", "a\n", "x" * 65])
def test_a_name_that_no_account_has(tmp_path, name):
    with pytest.raises(ValueError):
        Store(Disk(), str(tmp_path)).directory(name)


def test_mailboxes_are_the_maildir_and_what_begins_with_a_dot(tmp_path):
    store = Store(Disk(), str(tmp_path))
    assert store.mailboxes("alice") == []
    store.prepare("alice")
    home = tmp_path / "accounts/alice"
    for directory in (".Sent/cur", ".Trash/cur", "other/cur", ".empty"):
        (home / directory).mkdir(parents=True)
    assert store.mailboxes("alice") == [str(home), str(home / ".Sent"), str(home / ".Trash")]


def test_the_page_names_the_same_files():
    documented = set(find_tags("mailsrv-store.5", "FILES"))
    inbox = {f"{ACCOUNTS}/NAME/{name}" for name in (*LEAVES, quota.FILE)}
    junk = {f"{ACCOUNTS}/NAME/.Junk", f"{ACCOUNTS}/NAME/.DIRECTORY", f"{ACCOUNTS}/NAME/.DIRECTORY/{MARK}"}
    names = (
        layout.INDEX, layout.INDEX_LOCK, f"{layout.INDEX}.damaged", layout.MAILBOXES, layout.MAILBOXES_LOCK,
        f"{layout.MAILBOXES}.damaged", f"{layout.REMOVED}SECONDS.ID.DIRECTORY", text_index.FILE,
    )  # fmt: skip
    inbox |= {f"{ACCOUNTS}/NAME/{name}" for name in names}
    inbox |= {f"{ACCOUNTS}/NAME/{name}" for name in (metadata.FILE, metadata.LOCK)}
    inbox |= {f"{ACCOUNTS}/NAME/imports"}
    inbox |= {f"{access.DIRECTORY}/NAME", f"{access.DIRECTORY}/.lock"}
    feedback = {feedback_layout.FEEDBACK, feedback_layout.LOCK}
    inbox |= {readers.RESERVE, limits.FILE, limits.LOCK}
    assert documented == {*inbox, *junk, *feedback, notify.WATCH, senders.FILE, f"{senders.FILE}.damaged", senders.LOCK}


def test_the_page_has_the_numbers_of_the_code():
    page = (TOP / "man/mailsrv-store.5").read_text(encoding="utf-8")
    for number in (metadata.MAX_VALUE, metadata.MAX_ENTRIES, metadata.MAX_ALL_ENTRIES, metadata.MAX_OCTETS):
        assert f" {number} " in page
    assert f"longer than {quota.MAX_OCTETS} octets" in page
    assert f"older than {quota.OLD_SECONDS // 60} minutes" in page
