"""The accounts' Maildirs: made once, durable, and never outside of accounts/."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.store import notify, quota
from mailsrv.store.account import ACCOUNTS, LEAVES, Store
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
    assert documented == {*(f"{ACCOUNTS}/NAME/{name}" for name in (*LEAVES, quota.FILE)), notify.WATCH}


def test_the_page_has_the_numbers_of_the_code():
    page = (TOP / "man/mailsrv-store.5").read_text(encoding="utf-8")
    assert f"longer than {quota.MAX_OCTETS} octets" in page
    assert f"older than {quota.OLD_SECONDS // 60} minutes" in page
