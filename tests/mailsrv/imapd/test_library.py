"""The mailboxes that an account can reach, by name."""

import pytest

from mailsrv.store.layout import is_of_others
from mailsrv.store.refusals import NoMailbox, NoPermission, UseTaken, WrongName

from tests.fakes.imap_client import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    alice = house.library()
    alice.create("Team/sub", "\\Archive")
    return house


def grant(house, name, rights, identifier="bob", owner="alice"):
    library = house.library(owner)
    place, info = library.find(name, "a")
    library.grant(place, info, identifier, lambda old: rights)


def names(library):
    return [info.name for info in library.mailboxes() if info.exists]


def test_only_what_may_be_seen(house):
    bob = house.library("bob")
    assert names(bob) == ["INBOX"]
    grant(house, "Team/sub", "lr")
    grant(house, "Team", "r")
    assert names(bob) == ["INBOX", "Other Users/alice/Team/sub"]
    info = bob.mailboxes()[1]
    assert (info.special_use, info.subscribed, info.directory) == ("", False, "")
    assert names(house.library("carol")) == ["INBOX"]
    grant(house, "INBOX", "l", "anyone")
    assert names(house.library("carol")) == ["INBOX", "Other Users/alice/INBOX"]
    assert names(house.library("alice")) == ["INBOX", "Team", "Team/sub"]


@pytest.mark.parametrize(
    "name",
    ["Other Users", "Other Users/", "Other Users/alice", "Other Users/alice/", "Other Users/nobody/INBOX",
     "Other Users/../INBOX", "Other Users/bob/INBOX", "Other Users/alice/Team"],
)  # fmt: skip
def test_what_is_not_there(house, name):
    bob = house.library("bob")
    assert is_of_others(name)
    for ask in (bob.open, bob.status, bob.delete, lambda name: bob.rename(name, "x"), bob.subscribe):
        with pytest.raises(NoMailbox) as caught:
            ask(name)
        assert not isinstance(caught.value, NoPermission)


def test_rights_on_mailboxes(house):
    bob = house.library("bob")
    grant(house, "Team", "l")
    team = "Other Users/alice/team".replace("team", "Team")
    for ask in (bob.open, bob.delete, lambda name: bob.create(name + "/x"), lambda name: bob.rename(name, name + "2")):
        with pytest.raises(NoPermission):
            ask(team)
    grant(house, "Team", "lrkx")
    assert bob.open(team).name == team
    assert bob.create(team + "/x").name == team + "/x"
    assert bob.open(team + "/x").rights == "lrkx"
    with pytest.raises(UseTaken):
        bob.create(team + "/y", "\\Sent")
    with pytest.raises(WrongName):
        bob.rename(team + "/x", "x")
    with pytest.raises(NoPermission):
        bob.rename(team + "/x", "Other Users/alice/x")
    bob.rename(team + "/x", team + "/z")
    bob.delete(team + "/z")
    assert names(house.library()) == ["INBOX", "Team", "Team/sub"]


def test_the_inbox_of_others_stays(house):
    grant(house, "INBOX", "lrkx")
    with pytest.raises(WrongName):
        house.library("bob").rename("Other Users/alice/inbox", "Other Users/alice/INBOX/old")


def test_what_is_granted_above_holds_for_new_mailboxes(house):
    grant(house, "Team", "lr")
    alice = house.library()
    alice.create("Team/a/b")
    for name in ("Team/a", "Team/a/b"):
        assert alice.entries(*alice.find(name)) == {"bob": "lr"}
    assert alice.entries(*alice.find("Team/sub")) == {}
    alice.create("Other")
    assert alice.entries(*alice.find("Other")) == {}


def test_what_was_granted_ends_with_the_mailbox(house):
    grant(house, "Team/sub", "lr")
    alice = house.library()
    alice.delete("Team/sub")
    alice.create("Team/sub")
    assert alice.entries(*alice.find("Team/sub")) == {}
    grant(house, "Team", "l")
    assert len(house.access.grants("alice")) == 1


def test_subscriptions_are_the_accounts_own(house):
    grant(house, "INBOX", "l")
    bob = house.library("bob")
    bob.subscribe("Other Users/alice/inbox")
    assert [info.name for info in bob.mailboxes() if info.subscribed] == ["INBOX", "Other Users/alice/INBOX"]
    grant(house, "INBOX", "")
    gone = bob.mailboxes()[1]
    assert (gone.name, gone.exists, gone.subscribed) == ("Other Users/alice/INBOX", False, True)
    bob.subscribe("Other Users/alice/INBOX", False)
    assert len(bob.mailboxes()) == 1


def test_no_own_mailbox_lies_where_those_of_others_are(house, tmp_path):
    with pytest.raises(WrongName):
        house.library().create("Other Users/x")
    (tmp_path / "accounts/alice/.Other Users.x/cur").mkdir(parents=True)
    assert names(house.library()) == ["INBOX", "Team", "Team/sub"]
