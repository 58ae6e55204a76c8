"""Python's imaplib over each way in: logins, a mailbox's life, deliveries during a session, several clients at once."""

import base64
import imaplib
import re
import smtplib
import ssl
import threading

import pytest

from tests.peers.imap_house import PASSWORD, check, contents, digest, make_message

WAYS = ("imaps", "imap", "clear")
COUNT = re.compile(rb"\* (\d+) EXISTS\r\n")


def deliver(house, account, subject):
    """One message through SMTP."""
    text = f"From: stranger@example.net\r\nSubject: {subject}\r\n\r\nhere\r\n".encode()
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], "client.example.net", timeout=30) as sender:
        sender.sendmail("stranger@example.net", [f"{account}@example.org"], text)


def say(client, command):
    """A command whose answer imaplib would sort: its untagged lines; it must be OK."""
    lines, tagged = hear(client, command)
    assert tagged.startswith(b"OK"), tagged
    return lines


def hear(client, command):
    """The same, whatever comes: the untagged lines, and the tagged one without its tag."""
    tag = client._new_tag()
    client.send(tag + b" " + command.encode() + b"\r\n")
    lines = []
    while not (line := client.readline()).startswith(tag):
        lines.append(line)
    return lines, line.removeprefix(tag + b" ")


@pytest.mark.parametrize("way", WAYS)
def test_the_life_of_a_mailbox(way, imap_house):
    account = imap_house.new_account()
    client = imap_house.log_in(account, way)
    check(client.create("Work"))
    messages = [make_message(number, "life") for number in range(20)]
    for octets in messages:
        (answer,) = check(client.append("Work", "(\\Seen)", None, octets))
        assert answer.startswith(b"[APPENDUID "), answer
    assert check(client.select("Work")) == [b"20"]
    assert check(client.search(None, "SUBJECT", '"life 1"'))[0].split() == b"2 11 12 13 14 15 16 17 18 19 20".split()
    assert check(client.uid("SEARCH", "CHARSET", "UTF-8", "SEEN"))[0].split() == [b"%d" % n for n in range(1, 21)]
    assert check(client.sort("(REVERSE SUBJECT)", "UTF-8", "1:3"))[0].split() == [b"3", b"2", b"1"]
    assert check(client.thread("REFERENCES", "UTF-8", "1:3")) == [b"(1)(2)(3)"]
    check(client.copy("1:5", "INBOX"))
    check(client.uid("MOVE", "6:7", "INBOX"))
    assert client.response("EXPUNGE")[1] == [b"7", b"6"]
    check(client.store("1:2", "+FLAGS.SILENT", "(\\Deleted $Important)"))
    assert check(client.expunge()) == [b"2", b"1"]
    check(client.rename("Work", "Play"))
    check(client.subscribe("Play"))
    assert check(client.lsub()) == [b'() "/" INBOX', b'() "/" Play']
    assert contents(client, "Play").total() == 16
    found = contents(client)
    assert sorted(found) == sorted((digest(octets), ("\\Seen",)) for octets in messages[:7])
    check(client.delete("Play"))
    assert client.select("Play")[0] == "NO"
    if "QUOTA" in client.capabilities:
        check(client.getquotaroot("INBOX"))
    if "ACL" in client.capabilities:
        check(client.myrights("INBOX"))
    assert client.logout()[0] == "BYE"


@pytest.mark.parametrize("way", WAYS)
def test_mechanisms(way, imap_house):
    account = imap_house.new_account()
    client = imap_house.connect(way)
    assert "AUTH=PLAIN" in client.capabilities and "AUTH=SCRAM-SHA-256" in client.capabilities
    check(client.authenticate("PLAIN", lambda _: f"\0{account}\0{PASSWORD}".encode()))
    client.logout()
    client = imap_house.connect(way)
    answers = iter((account, PASSWORD))
    check(client.authenticate("LOGIN", lambda _: next(answers).encode()))
    client.logout()
    client = imap_house.connect(way)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(account, "wrong")
    check(client.login(f"{account}@example.org", PASSWORD))
    client.logout()


def test_no_password_without_tls(imap_house):
    client = imaplib.IMAP4("127.0.0.1", imap_house.ports["imap"], timeout=30)
    assert "LOGINDISABLED" in client.capabilities and "STARTTLS" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        client.login(imap_house.new_account(), PASSWORD)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(ssl.create_default_context())


def test_deliveries_during_a_session(imap_house):
    account = imap_house.new_account()
    client, other = imap_house.log_in(account, "imaps"), imap_house.log_in(account)
    assert check(client.select()) == [b"0"]
    check(other.select())
    for count in range(1, 6):
        deliver(imap_house, account, f"number {count}")
        assert b"* %d EXISTS\r\n" % count in say(client, "NOOP")
    assert b"* 5 EXISTS\r\n" in say(other, "NOOP")
    client.send(b"i IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    deliver(imap_house, account, "number 6")
    assert client.readline() == b"* 6 EXISTS\r\n"
    check(other.store("2", "+FLAGS", "(\\Flagged)"))
    line = client.readline()
    assert line.startswith(b"* 2 FETCH (") and b"\\Flagged" in line
    check(other.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
    check(other.expunge())
    while (line := client.readline()).startswith(b"* 1 FETCH"):
        pass
    assert line == b"* 1 EXPUNGE\r\n"
    client.send(b"DONE\r\n")
    assert client.readline().startswith(b"i OK")
    subjects = check(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[::2]
    assert [text for _, text in subjects] == [b"Subject: number %d\r\n\r\n" % number for number in range(2, 7)]
    client.logout()
    other.logout()


def test_changes_since_the_last_visit(imap_house):
    account = imap_house.new_account()
    imap_house.put(account, [make_message(number) for number in range(10)])
    client = imap_house.log_in(account)
    check(client.enable("QRESYNC"))
    told = b"".join(say(client, "SELECT INBOX"))
    validity = re.search(rb"UIDVALIDITY (\d+)", told)[1].decode()
    modseq = re.search(rb"HIGHESTMODSEQ (\d+)", told)[1].decode()
    say(client, "UNSELECT")
    other = imap_house.log_in(account, "imaps")
    check(other.select())
    check(other.store("3", "+FLAGS", "(\\Seen)"))
    check(other.store("7:8", "+FLAGS.SILENT", "(\\Deleted)"))
    check(other.expunge())
    check(other.append("INBOX", None, None, make_message(99)))
    told = say(client, f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    assert b"* VANISHED (EARLIER) 7:8\r\n" in told
    fetched = [line for line in told if b" FETCH " in line]
    assert len(fetched) == 2 and b"UID 3 " in fetched[0] and b"UID 11 " in fetched[1], fetched
    since = say(client, f"FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")
    assert len([line for line in since if b" FETCH " in line]) == 2
    other.logout()
    client.logout()


def test_two_clients_at_once_lose_nothing(imap_house):
    """Each appends, flags, moves and expunges in the same two mailboxes; what remains is what was not expunged."""
    account = imap_house.new_account()
    rounds, faults = 15, []
    with imap_house.log_in(account) as client:
        check(client.create("Target"))

    def work(name):
        try:
            client = imap_house.log_in(account, "imaps")
            for number in range(rounds):
                (said,) = check(client.append("INBOX", None, None, make_message(number, name)))
                uid = said.split(b"]")[0].split()[-1].decode()
                check(client.select())
                if number % 3 == 0:
                    check(client.uid("MOVE", uid, "Target"))
                elif number % 3 == 1:
                    check(client.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
                    check(client.uid("EXPUNGE", uid))
                else:
                    check(client.uid("STORE", uid, "+FLAGS", "(\\Flagged)"))
            client.logout()
        except (AssertionError, imaplib.IMAP4.error, OSError) as error:
            faults.append(error)

    names = ("left", "right", "third")
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        deliver(imap_house, account, f"delivered {number}")
    for thread in threads:
        thread.join()
    assert not faults, faults
    with imap_house.log_in(account) as client:
        moved = {(digest(make_message(number, name)), ()) for name in names for number in range(0, rounds, 3)}
        assert contents(client, "Target") == dict.fromkeys(moved, 1)
        kept = {(digest(make_message(n, name)), ("\\Flagged",)) for name in names for n in range(2, rounds, 3)}
        inbox = contents(client)
        assert kept <= set(inbox) and inbox.total() == len(kept) + rounds
        assert set(inbox.values()) == {1}


def test_a_mailbox_deleted_under_a_session(imap_house):
    account = imap_house.new_account()
    client, other = imap_house.log_in(account), imap_house.log_in(account)
    check(client.create("Gone"))
    check(client.append("Gone", None, None, make_message(1)))
    check(client.select("Gone"))
    check(other.delete("Gone"))
    told, tagged = hear(client, "NOOP")
    assert any(line.startswith(b"* BYE") for line in told) and tagged.startswith(b"OK"), (told, tagged)
    client = imap_house.log_in(account)
    assert check(client.select("INBOX")) == [b"0"]
    client.logout()
    other.logout()


def test_a_large_message(imap_house):
    account = imap_house.new_account()
    octets = make_message(1) + base64.encodebytes(bytes(range(256)) * 40_000).replace(b"\n", b"\r\n")
    with imap_house.log_in(account, "imaps") as client:
        check(client.append("INBOX", None, None, octets))
        check(client.select())
        assert check(client.fetch("1", "(BODY.PEEK[])"))[0][1] == octets
        assert check(client.fetch("1", "(BODY.PEEK[]<1000000.100>)"))[0][1] == octets[1_000_000:1_000_100]
        assert b"RFC822.SIZE %d" % len(octets) in check(client.fetch("1", "(RFC822.SIZE)"))[0]
