"""What rights allow in a mailbox of another account, and messages that go between accounts."""

import pytest

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.refusals import MailboxGone, NoPermission, OverQuota
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Incoming, Operation
from mailsrv.imapd import shared_mailbox as module
from mailsrv.imapd.shared_mailbox import SharedMailbox, copy_messages, expect_rights, move_messages

from tests.fakes.imap_client import House, message

ALL = NumberSet([(1, 100)])


class Shared:
    """The INBOX of alice with three messages, as bob may use it."""

    def __init__(self, path):
        self.house = House(path)
        self.house.deliver(message("one"), message("two"), message("three"))
        self.own = self.house.box()
        self.rights = "lr"
        self.box = SharedMailbox(self.house.box(), "Other Users/alice/INBOX", lambda: self.rights)

    def flags(self):
        return self.house.flags()


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path)


def put(box, octets=b"x", flags=0):
    file = box.new_file()
    file.write([octets])
    return box.append([Incoming(file, flags)])


@pytest.mark.parametrize(("rights", "flags"), [("s", SEEN), ("t", DELETED), ("w", FLAGGED), ("st", SEEN | DELETED)])
def test_each_flag_has_its_right(shared, rights, flags):
    word = SEEN | DELETED | FLAGGED
    shared.rights = "lr" + rights
    shared.box.store_flags(ALL, Operation.ADD, word)
    assert set(shared.flags().values()) == {flags}
    shared.own.store_flags(ALL, Operation.REPLACE, word)
    shared.box.store_flags(ALL, Operation.REPLACE, 0)
    assert set(shared.flags().values()) == {word & ~flags}
    shared.box.store_flags(ALL, Operation.REPLACE, word)
    shared.box.store_flags(ALL, Operation.REMOVE, word)
    assert set(shared.flags().values()) == {word & ~flags}


def test_without_rights_no_flag_changes(shared):
    stored = shared.box.store_flags(ALL, Operation.REPLACE, SEEN)
    assert not stored.changed
    assert set(shared.flags().values()) == {0}


def test_who_was_faster_is_kept_to(shared):
    shared.rights = "lrs"
    modseq = shared.box.view()[1]
    shared.own.store_flags(NumberSet([(2, 2)]), Operation.ADD, SEEN)
    stored = shared.box.store_flags(ALL, Operation.REPLACE, 0, modseq)
    assert bytes(stored.failed) == b"2"
    assert shared.flags()[2] == SEEN


def test_keywords_are_made_by_who_may_set_them(shared):
    assert shared.box.keyword_bit("new", create=True) == 0
    shared.rights = "lrw"
    assert shared.box.keyword_bit("new", create=True)


def test_what_needs_a_right(shared):
    with pytest.raises(NoPermission):
        shared.box.expunge()
    with pytest.raises(NoPermission):
        put(shared.box)
    with pytest.raises(NoPermission):
        expect_rights(shared.box, "lrx")
    expect_rights(shared.own, "lrx")
    shared.rights = "lri"
    put(shared.box, flags=SEEN | FLAGGED)
    assert shared.flags()[4] == 0


def test_what_is_taken_back_is_gone(shared):
    shared.rights = "l"
    for ask in (shared.box.view, shared.box.refresh, lambda: shared.box.changes(1)):
        with pytest.raises(MailboxGone):
            ask()


def test_messages_go_between_accounts(shared, monkeypatch):
    monkeypatch.setattr(module, "_FILES", 2)
    mask = shared.own.keyword_bit("label", create=True)
    shared.own.store_flags(NumberSet([(3, 3)]), Operation.ADD, mask | FLAGGED)
    target = shared.house.box(account="bob")
    assert copy_messages(shared.box, ALL, target) == [(1, 1), (2, 2), (3, 3)]
    assert target.keywords() == [(256, "label")]
    assert shared.house.flags(account="bob") == {1: 0, 2: 0, 3: FLAGGED | 256}
    ours, theirs = (list(box.rows(None, ("size", "received"))) for box in (shared.own, target))
    assert ours == theirs
    with target.open_file(2) as file:
        assert file.read_at(0, file.size) == message("two")


def test_to_move_needs_the_right_to_take_away(shared):
    target = shared.house.box(account="bob")
    shared.rights = "lre"
    with pytest.raises(NoPermission):
        move_messages(shared.box, ALL, target)
    shared.rights = "lrte"
    assert move_messages(shared.box, NumberSet([(2, 2)]), target) == [(2, 1)]
    assert list(shared.flags()) == [1, 3]


def test_all_or_none(shared, monkeypatch):
    monkeypatch.setattr(module, "_FILES", 2)
    carol = shared.house.box(account="carol")
    put(carol)
    with pytest.raises(OverQuota):
        copy_messages(shared.own, ALL, carol)
    assert list(shared.house.flags(account="carol")) == [1]
    assert list(shared.flags()) == [1, 2, 3]


def test_within_an_account_files_are_linked(shared):
    shared.house.library().create("Team")
    target = SharedMailbox(shared.house.box("Team"), "Other Users/alice/Team", lambda: "i")
    with pytest.raises(NoPermission):
        copy_messages(shared.own, ALL, SharedMailbox(shared.house.box("Team"), "x", lambda: "lr"))
    assert len(copy_messages(shared.box, ALL, target)) == 3
    shared.own.store_flags(ALL, Operation.ADD, SEEN)
    assert len(move_messages(shared.own, ALL, SharedMailbox(shared.house.box("Team"), "x", lambda: "istw"))) == 3
    assert set(shared.house.flags("Team").values()) == {0, SEEN}
