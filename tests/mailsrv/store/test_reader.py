"""One account by the names of its mailboxes."""

import os

import pytest

from mailsrv.store.refusals import NoMailbox, WrongName
from mailsrv.store.values import SEEN, Usage

from tests.mailsrv.store.ground import Ground


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_a_new_account_has_inbox(ground):
    assert [line.name for line in ground.reader.mailboxes()] == ["INBOX"]
    assert ground.reader.find("inbox").subscribed
    status = ground.reader.status("Inbox")
    assert (status.messages, status.uidnext, status.unseen) == (0, 1, 0)
    assert ground.reader.usage() == Usage(0, 0)
    with pytest.raises(NoMailbox):
        ground.reader.open("A")
    with pytest.raises(NoMailbox):
        ground.reader.status("A")


def test_junk_that_delivery_has_made(ground):
    os.makedirs(f"{ground.root}/.Junk/cur")
    os.makedirs(f"{ground.root}/.Junk/new")
    ground.file("1.a.x", directory=".Junk/new")
    (_, junk) = ground.reader.mailboxes()
    assert (junk.name, junk.special_use, junk.subscribed) == ("Junk", "\\Junk", True)
    assert ground.reader.status("Junk").messages == 1


def test_mailboxes_come_sorted(ground):
    for name in ("z", "a", "ä", "INBOX/x"):
        ground.reader.create(name)
    assert [line.name for line in ground.reader.mailboxes()] == ["INBOX", "INBOX/x", "a", "z", "ä"]


def test_subscriptions_are_of_names(ground):
    ground.reader.create("a")
    ground.reader.subscribe("a")
    ground.reader.subscribe("nothing/there")
    assert {line.name: (line.exists, line.subscribed) for line in ground.reader.mailboxes()} == {
        "INBOX": (True, True), "a": (True, True), "nothing/there": (False, True),
    }  # fmt: skip
    with pytest.raises(NoMailbox):
        ground.reader.find("nothing/there")
    for name in ("a", "nothing/there", "never subscribed"):
        ground.reader.subscribe(name, False)
    assert {line.name: line.subscribed for line in ground.reader.mailboxes()} == {"INBOX": True, "a": False}
    with pytest.raises(WrongName):
        ground.reader.subscribe("a\nb")


def test_counters_are_of_all_mailboxes(ground):
    ground.reader.create("a")
    ground.append(ground.open("a"), "12345", flags=SEEN)
    ground.append(ground.open(), "123")
    assert ground.reader.usage() == Usage(8, 2)
    status = ground.reader.status("a")
    assert (status.messages, status.unseen, status.octets, status.mailboxid) == (
        1, 0, 5, ground.reader.find("a").mailboxid,
    )  # fmt: skip


def test_what_was_delivered_is_adopted_in_the_background(ground):
    ground.reader.create("a")
    ground.reader.adopt()
    ground.file("1.a.x")
    ground.file("2.a.x", directory=".a/new")
    ground.reader.adopt()
    assert ground.reader.usage().messages == 2


def test_who_only_adds_messages_does_not_look(ground):
    """Or each of 10 000 uploads would read a directory that holds the ones before it."""
    ground.file("1.a.x")
    box = ground.reader.open("INBOX", look=False)
    assert (ground.append(box, "12345"), ground.reader.usage().messages) == ([1], 1)
    with pytest.raises(NoMailbox):
        ground.reader.open("A", look=False)
    ground.reader.open("INBOX")
    assert ground.reader.usage().messages == 2


def test_a_mailbox_made_by_another_process_is_there(ground):
    ground.reader.mailboxes()
    ground.other().create("a")
    assert ground.open("a").name == "a"
