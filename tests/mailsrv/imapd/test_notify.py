"""What NOTIFY tells; the dialogs tests/cases/imap/notify and notify-mailboxes show the rest."""

import pytest

from mailsrv.imapd import notify as module

from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def ring(client):
    client.heard = b""
    client.policy.woken()
    client._flush()
    return client.heard.decode().split("\r\n")[:-1]


def test_before_it_nobody_is_rung_outside_idle(house):
    client = house.client(selected="INBOX")
    assert not client.policy.wants_rings
    assert client.do("NOTIFY SET (selected (MessageNew MessageExpunge))") == ["OK you will hear"]
    assert client.policy.wants_rings
    house.deliver(message())
    assert ring(client) == ["* 1 EXISTS"]
    assert ring(client) == []


def test_mailboxes_of_others_are_watched_while_they_are_shared(house):
    alice, bob = house.client(), house.client("bob")
    alice.do("SETACL INBOX bob lr")
    listened = []
    house.services.watch.enter = lambda account, ring: listened.append(account)
    house.services.watch.leave = lambda account, ring: listened.remove(account)
    bob.do('NOTIFY SET (subtree "Other Users" (MessageNew MessageExpunge MailboxName))')
    assert sorted(listened) == ["alice", "bob"]
    house.deliver(message())
    assert ring(bob)[0].startswith('* STATUS "Other Users/alice/INBOX" (MESSAGES 1 UIDNEXT 2 ')
    alice.do("DELETEACL INBOX bob")
    house.deliver(message())
    assert ring(bob) == ['* LIST (\\NonExistent \\HasNoChildren) "/" "Other Users/alice/INBOX"']
    alice.do("SETACL INBOX bob lr")
    name, counters = ring(bob)
    assert name == '* LIST (\\HasNoChildren) "/" "Other Users/alice/INBOX"'
    assert counters.startswith('* STATUS "Other Users/alice/INBOX" (MESSAGES 2 UIDNEXT 3 ')  # what came meanwhile too
    house.deliver(message())
    assert len(ring(bob)) == 1
    bob.policy.leave()
    assert listened == []


def test_news_between_two_idles_are_told(house):
    client = house.client(selected="INBOX")
    listened = []
    house.services.watch.enter = lambda account, ring: listened.append(account)
    house.services.watch.leave = lambda account, ring: listened.remove(account)
    client.do("NOTIFY SET (selected (MessageNew MessageExpunge)) (inboxes (MailboxName))")
    client.send(b"i IDLE\r\n")
    house.deliver(message())
    assert ring(client) == ["* 1 EXISTS"]
    assert b"i OK" in client.send(b"DONE\r\n")
    assert listened == ["alice"]
    house.deliver(message())
    assert ring(client) == ["* 2 EXISTS"]
    assert client.do("UNAUTHENTICATE")[-1].endswith("nobody is logged in")
    assert listened == []
    assert not client.policy.wants_rings


def test_modseqs_are_told_to_who_knows_them(house):
    client, other = house.client(enabled="CONDSTORE"), house.client()
    other.do("CREATE Team")
    other.append(b"x", "Team")
    told = client.do("NOTIFY SET STATUS (mailboxes Team (MessageNew MessageExpunge FlagChange))")
    assert told[0].startswith("* STATUS Team (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ")
    assert "UNSEEN 1 HIGHESTMODSEQ " in told[0]
    other.do("SELECT Team")
    other.do("STORE 1 +FLAGS (\\Flagged)")
    (told,) = ring(client)
    assert "HIGHESTMODSEQ " in told
    assert "UNSEEN" not in told


def test_flags_elsewhere_are_not_told_without_modseqs(house):
    house.deliver(message())
    client, other = house.client(), house.client(selected="INBOX")
    client.do("NOTIFY SET (inboxes (MessageNew MessageExpunge FlagChange))")
    other.do("STORE 1 +FLAGS (\\Flagged)")
    assert ring(client) == []
    other.do("STORE 1 +FLAGS (\\Seen)")
    assert "UNSEEN 0" in ring(client)[0]


def test_what_is_fetched_makes_nothing_seen(house):
    client = house.client(selected="INBOX")
    client.do("NOTIFY SET (selected (MessageNew (BODY[]) MessageExpunge))")
    house.deliver(message())
    assert ring(client)[:2] == ["* 1 EXISTS", f"* 1 FETCH (UID 1 BODY[] {{{len(message())}}}"]
    assert house.flags() == {1: 0}


def test_too_many_mailboxes_are_refused(house, monkeypatch):
    monkeypatch.setattr(module, "MOST_MAILBOXES", 1)
    client = house.client()
    client.do("CREATE Team")
    refused = client.do("NOTIFY SET (personal (MessageNew MessageExpunge))")
    assert refused[0].startswith("NO [NOTIFICATIONOVERFLOW] ")
    assert not client.policy.wants_rings
    assert client.do("NOTIFY SET (personal (MailboxName))")[-1].startswith("OK ")


def test_while_a_message_comes_nothing_is_said(house):
    client = house.client()
    client.do("NOTIFY SET (personal (MailboxName))")
    client.send(b"a APPEND INBOX {5}\r\nx")
    assert not client.policy.wants_rings
    assert b"a OK" in client.send(b"yyyy\r\n")
    assert client.policy.wants_rings


def test_a_new_name_hides_nothing_of_what_else_happened(house):
    client, other = house.client(), house.client()
    other.do("CREATE n")
    client.do("NOTIFY SET (personal (MessageNew MessageExpunge MailboxName MailboxMetadataChange))")
    other.append(b"x", "n")
    other.append(b"y", "n")
    other.do("SELECT n")
    other.do("STORE 1 +FLAGS (\\Deleted)")
    other.do("EXPUNGE")
    other.do('SETMETADATA n (/shared/comment "x")')
    other.do("RENAME n m")
    name, counters, values = ring(client)
    assert name == '* LIST (\\HasNoChildren) "/" m ("OLDNAME" (n))'
    assert counters.startswith("* STATUS m (MESSAGES 1 UIDNEXT 3 ")
    assert values == "* METADATA m /shared/comment"
    assert ring(client) == []
    client.do("RENAME m own")
    assert ring(client) == []


def test_a_mailbox_that_comes_with_messages_brings_its_counters(house):
    client, other = house.client(), house.client()
    client.do("NOTIFY SET (personal (MessageNew MessageExpunge MailboxName MailboxMetadataChange))")
    other.do("CREATE Empty")
    other.do("CREATE Team")
    other.append(b"x", "Team")
    other.do('SETMETADATA Team (/shared/comment "x")')
    told = ring(client)
    starts = [line.split(" (")[0] for line in told]
    assert starts == ["* LIST", "* LIST", "* STATUS Team", "* METADATA Team /shared/comment"]
    assert ring(client) == []


def test_another_mailbox_of_the_same_name_is_told_last(house):
    client, other = house.client(), house.client()
    other.do("CREATE Team")
    client.do("NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))")
    other.do("DELETE Team")
    other.do("CREATE Team")
    gone, new, counters = ring(client)
    assert gone.startswith("* LIST (\\NonExistent ")
    assert new.endswith(") \"/\" Team") and "NonExistent" not in new
    assert counters.startswith("* STATUS Team (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ")


def test_a_mailbox_that_was_selected_is_told_when_it_changed(house):
    house.deliver(message())
    client = house.client(selected="INBOX")
    client.do("NOTIFY SET (inboxes (MessageNew MessageExpunge))")
    client.do("UNSELECT")
    assert ring(client) == []
    client.do("SELECT INBOX")
    house.deliver(message())
    assert ring(client) == []
    client.do("UNSELECT")
    (told,) = ring(client)
    assert told.startswith("* STATUS INBOX (MESSAGES 2 UIDNEXT 3 ")
    assert ring(client) == []
