"""Mailboxes come, go and change their names."""

import os

import pytest

from mailsrv.store.refusals import MailboxGone, MailboxThere, NoMailbox, TooMany, UseTaken, WrongName
from mailsrv.store.values import SEEN

from tests.mailsrv.store.ground import Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def names(ground):
    return {line.name: line.exists for line in ground.reader.mailboxes()}


def test_create_makes_what_is_above(ground):
    line = ground.reader.create("a/b/c", "\\Archive")
    assert (line.name, line.special_use, line.directory, line.subscribed) == ("a/b/c", "\\Archive", ".a.b.c", False)
    assert names(ground) == {"INBOX": True, "a": True, "a/b": True, "a/b/c": True}
    assert ground.names(".a.b.c") == ["cur", "maildirfolder", "new", "tmp"]
    for name in ("a", "a/b/c", "inbox"):
        with pytest.raises(MailboxThere):
            ground.reader.create(name)
    with pytest.raises(WrongName):
        ground.reader.create("a//b")


def test_a_special_use_is_one_mailboxs(ground):
    ground.reader.create("Sent", "\\Sent")
    for name, use in (("B", "\\Sent"), ("B", "\\Nonsense")):
        with pytest.raises(UseTaken):
            ground.reader.create(name, use)
    assert "B" not in names(ground)
    ground.reader.create("B")
    with pytest.raises(UseTaken):
        ground.reader.set_special_use("B", "\\Sent")
    ground.reader.set_special_use("Sent", "")
    ground.reader.set_special_use("B", "\\Sent")
    ground.reader.set_special_use("B", "\\Sent")
    assert ground.reader.find("B").special_use == "\\Sent"
    with pytest.raises(NoMailbox):
        ground.reader.set_special_use("C", "")


def test_delete_leaves_what_is_below(ground):
    ground.reader.create("a/b")
    box = ground.open("a")
    ground.append(box, "x")
    ground.reader.delete("a")
    assert names(ground) == {"INBOX": True, "a/b": True}
    assert ground.reader.usage().messages == 0
    for use in (box.view, box.refresh, box.status, box.expunge, lambda: box.changes(0), lambda: rows(box, "uid")):
        with pytest.raises(MailboxGone):
            use()
    with pytest.raises(NoMailbox):
        ground.open("a")
    with pytest.raises(NoMailbox):
        ground.reader.delete("a")
    with pytest.raises(WrongName):
        ground.reader.delete("INBOX")


def test_a_deleted_name_stays_subscribed(ground):
    ground.reader.create("a")
    ground.reader.subscribe("a")
    ground.reader.delete("a")
    assert names(ground) == {"INBOX": True, "a": False}
    ground.reader.create("a")
    assert ground.reader.find("a").subscribed


def test_a_mailbox_of_an_old_name_is_another(ground):
    ground.reader.create("a")
    old = ground.open("a")
    ground.append(old, "x")
    ground.reader.delete("a")
    ground.reader.create("a")
    new = ground.open("a")
    assert new.uidvalidity > old.uidvalidity and new.mailboxid != old.mailboxid
    assert rows(new, "uid") == []
    # Not the same directory: who has that open would put messages into the one that is deleted.
    assert (old.directory, new.directory) == (".a", ".a-2")
    ground.append(new, "y")
    assert text_of(new, 1) == "y"
    ground.clock.advance(100)
    ground.tidy()
    ground.reader.create("b/c")
    ground.reader.delete("a")
    ground.reader.delete("b/c")
    ground.reader.create("a")
    ground.reader.create("b/c")
    assert (ground.open("a").directory, ground.open("b/c").directory) == (".a", ".b.c-2")


def test_deleted_files_are_removed_later(ground):
    ground.reader.create("a")
    box = ground.open("a")
    ground.append(box, "x", "y")
    ground.file("1.a.x", "seen", ".a/new")
    box.refresh()
    ground.reader.delete("a")
    (aside,) = [name for name in ground.names(".") if name.startswith("removed.")]
    ground.file("2.a.x", "delivered just then", f"{aside}/new")
    os.utime(f"{ground.root}/{aside}/new/2.a.x", (ground.clock.now(), ground.clock.now()))
    ground.tidy()
    assert aside in ground.names(".")
    ground.clock.advance(100)
    while ground.reader.tidy(1):
        pass
    assert not [name for name in ground.names(".") if name.startswith("removed.")]
    inbox = ground.open()
    assert [text_of(inbox, uid) for (uid,) in rows(inbox, "uid")] == ["delivered just then"]
    assert ground.reader.check() == []


def test_rename_is_of_all_below_and_of_no_directory(ground):
    for name in ("a", "a/b", "a/b/c", "ab"):
        ground.reader.create(name)
    ground.reader.subscribe("a/b")
    box = ground.open("a/b")
    ground.append(box, "x", flags=SEEN)
    ground.reader.rename("a", "x/y")
    assert names(ground) == {
        "INBOX": True, "a/b": False, "ab": True, "x": True, "x/y": True, "x/y/b": True, "x/y/b/c": True,
    }  # fmt: skip
    again = ground.open("x/y/b")
    assert (again.mailboxid, again.uidvalidity, again.directory) == (box.mailboxid, box.uidvalidity, ".a.b")
    assert rows(box, "uid", "flags") == rows(again, "uid", "flags") == [(1, SEEN)]
    assert ground.reader.find("x/y/b").subscribed
    ground.reader.create("a/b")
    assert ground.reader.find("a/b").directory == ".a.b-2"


def test_what_cannot_be_renamed(ground):
    for name in ("a", "b", "b/c", "d/c"):
        ground.reader.create(name)
    with pytest.raises(NoMailbox):
        ground.reader.rename("nothing", "x")
    for new, reason in (("b", MailboxThere), ("a", WrongName), ("a/b", WrongName), ("INBOX", MailboxThere)):
        with pytest.raises(reason):
            ground.reader.rename("a", new)
    with pytest.raises(MailboxThere):
        ground.reader.rename("b", "d")
    with pytest.raises(WrongName):
        ground.reader.rename("b", "x" * 511)
    assert names(ground).keys() == {"INBOX", "a", "b", "b/c", "d", "d/c"}


def test_renaming_a_name_that_is_only_above_others(ground):
    ground.reader.create("a/b")
    ground.reader.delete("a")
    ground.reader.rename("a", "c")
    assert names(ground) == {"INBOX": True, "c/b": True}


def test_inbox_is_emptied_and_stays(ground):
    ground.reader.create("INBOX/below")
    box = ground.open()
    ground.append(box, "one", "two")
    ground.file("1.a.x", "three")
    ground.reader.rename("inbox", "Old/Mail")
    target = ground.open("Old/Mail")
    assert [text_of(target, uid) for (uid,) in rows(target, "uid")] == ["one", "two", "three"]
    assert rows(box, "uid") == [] and box.status().uidnext == 4
    assert names(ground).keys() == {"INBOX", "INBOX/below", "Old", "Old/Mail"}
    with pytest.raises(MailboxThere):
        ground.reader.rename("INBOX", "Old")


def test_so_many_mailboxes(ground, monkeypatch):
    monkeypatch.setattr("mailsrv.store.places.MAX_MAILBOXES", 3)
    ground.reader.create("a/b")
    with pytest.raises(TooMany):
        ground.reader.create("c")
    with pytest.raises(TooMany):
        ground.reader.subscribe("c")


def test_a_lost_index_raises_uidvalidity(ground):
    box = ground.open()
    ground.append(box, "x")
    ground.readers.close()
    for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
        if os.path.exists(f"{ground.root}/{name}"):
            os.unlink(f"{ground.root}/{name}")
    with pytest.raises(MailboxGone):
        box.view()
    again = ground.open()
    assert again.uidvalidity > box.uidvalidity and again.mailboxid == box.mailboxid
    assert rows(again, "uid") == [(1,)]


def test_a_lost_list_of_mailboxes_leaves_the_index(ground):
    ground.reader.create("a")
    box = ground.open("a")
    ground.append(box, "x")
    box.store_flags(uids(1), box_operation(), box.keyword_bit("$Work", create=True))
    os.unlink(f"{ground.root}/mailboxes")
    again = ground.open("a")
    assert again.uidvalidity == box.uidvalidity
    assert rows(again, "uid", "flags") == [(1, 1 << 8)]
    ground.reader.create("b")
    assert ground.open("b").uidvalidity > box.uidvalidity


def box_operation():
    from mailsrv.store.values import Operation

    return Operation.ADD


def test_an_index_that_was_brought_back_begins_anew(ground):
    """A row with another UIDVALIDITY than the list of mailboxes has is of an older index."""
    box = ground.open()
    ground.append(box, "x")
    with ground.reader._index.write() as writing:
        writing.execute("UPDATE mailbox SET uidvalidity = 5")
    again = ground.open()
    assert again.uidvalidity > box.uidvalidity
    assert ground.reader.usage().messages == 1 and ground.reader.check() == []


def test_junk_lies_where_delivery_puts_messages(ground):
    ground.reader.create("Junk")
    ground.reader.delete("Junk")
    ground.reader.create("Junk")
    assert ground.reader.find("Junk").directory == ".Junk"
