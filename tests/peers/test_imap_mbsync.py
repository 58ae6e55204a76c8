"""mbsync (isync) and a Maildir: pull, changes on both sides, 10 000 messages there and back, and a crash in between."""

import contextlib
import os
import signal
import smtplib

import pytest

from tests.peers.imap_house import check, contents, mailboxes, make_message, wait_until
from tests.peers.mbsync import Mbsync

MANY = 10_000
WAYS = {
    "imaps": ("imaps", "PLAIN"),
    "starttls": ("imap", "PLAIN"),
    "clear": ("clear", "LOGIN"),
}


@pytest.fixture
def program(peer):
    return peer("mbsync")


def expect_same(near, client):
    """Both sides have the same mailboxes, and these the same messages with the same flags."""
    names = mailboxes(client)
    assert sorted(str(path.parent.relative_to(near.mail)) for path in near.mail.rglob("cur")) == names
    for name in names:
        assert near.contents(name) == contents(client, name), name


def expect_no_op(near, client):
    """A run where nothing has changed changes nothing on either side."""
    before = near.tree(), status(client)
    near.run()
    assert (near.tree(), status(client)) == before


def status(client):
    """What the server tells of each mailbox, its MODSEQ included."""
    words = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"
    return [check(client.status(f'"{name}"', words)) for name in mailboxes(client)]


@pytest.mark.parametrize("way", WAYS)
def test_pull_and_changes_on_both_sides(way, imap_house, program, tmp_path):
    account = imap_house.new_account()
    near = Mbsync(program, tmp_path, imap_house, account, WAYS[way])
    old = [make_message(number) for number in range(60)]
    imap_house.put(account, old)
    with smtplib.SMTP("127.0.0.1", imap_house.ports["smtp"], "client.example.net", timeout=30) as sender:
        for number in range(3):
            text = make_message(number, "delivered").partition(b"\r\n")[2]  # Return-Path is the server's to say
            sender.sendmail("stranger@example.net", [f"{account}@example.org"], text, ["BODY=8BITMIME"])
    client = imap_house.log_in(account)
    appended = [make_message(number, "appended") for number in range(5)]
    for octets in appended:
        check(client.append("INBOX", "(\\Seen \\Flagged)", None, octets))
    check(client.create("Lists/Summer"))
    check(client.append("Lists/Summer", None, None, make_message(1, "summer")))

    near.run()
    assert near.contents().total() == 68
    expect_same(near, client)
    expect_no_op(near, client)

    # Both sides change: flags on different messages, removals, new messages and new mailboxes.
    near.flag(old[1], "FS")
    near.flag(appended[1], "S")
    near.flag(old[2], "ST")
    near.put("1.near.example", make_message(1, "near", "\n"), "RS")
    near.put("2.near.example", make_message(2, "near", "\n"))
    near.put("3.near.example", make_message(3, "near", "\n"), "D", "Notes")
    near.find(make_message(1, "summer"), "Lists/Summer").unlink()
    check(client.select("INBOX"))
    check(client.store("11", "+FLAGS", "(\\Answered \\Seen)"))
    check(client.store("12:14", "+FLAGS", "(\\Deleted)"))
    check(client.expunge())
    check(client.append("INBOX", "(\\Draft)", None, make_message(1, "far")))
    check(client.create('"Entw&APw-rfe"'))
    check(client.append('"Entw&APw-rfe"', None, None, make_message(2, "far")))

    near.run()
    expect_same(near, client)
    assert near.contents().total() == 68 - 1 - 3 + 2 + 1
    assert near.contents("Lists/Summer").total() == 0
    assert mailboxes(client) == ["Entw&APw-rfe", "INBOX", "Lists", "Lists/Summer", "Notes"]
    expect_no_op(near, client)
    client.logout()


def test_ten_thousand_messages_there_and_back(imap_house, program, tmp_path):
    account = imap_house.new_account()
    near = Mbsync(program, tmp_path / "near", imap_house, account)
    for number in range(MANY):
        near.put(f"{number:05}.near.example", make_message(number, newline="\n"), ("", "S", "FS", "RS")[number % 4])
    wanted = near.contents()
    assert len(wanted) == MANY
    near.run("--push")
    assert near.contents() == wanted
    back = Mbsync(program, tmp_path / "back", imap_house, account)
    back.run("--pull")
    assert back.contents() == wanted
    client = imap_house.log_in(account)
    assert contents(client) == wanted
    expect_no_op(near, client)
    expect_no_op(back, client)
    client.logout()


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_crash_in_the_middle(direction, imap_house, program, tmp_path):
    account = imap_house.new_account()
    # Files are fetched faster than uploaded, and the crash has to come while many are still missing.
    count = {"push": 800, "pull": 2000}[direction]
    near = Mbsync(program, tmp_path, imap_house, account)
    arrived = near.maildir()
    if direction == "pull":
        imap_house.put(account, [make_message(number) for number in range(count)])
    else:
        for number in range(count):
            near.put(f"{number:05}.near.example", make_message(number, newline="\n"), "S")
        arrived = imap_house.home(account)
    run = near.start()
    wait_until(lambda: len(files(arrived)) > count // 5 or run.poll() is not None, f"a part of the {direction} is done")
    killed = imap_house.imapds()
    assert killed
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    said = run.communicate(timeout=300)[0].decode()
    assert run.returncode != 0, said
    assert len(files(arrived)) < count, "the crash came too late to show anything"
    near.run()
    client = imap_house.log_in(account)
    expect_same(near, client)
    assert set(near.contents().values()) == {1}, "a message is there twice"
    assert near.contents().total() == count, "a message is lost"
    expect_no_op(near, client)
    client.logout()


def files(maildir):
    """Names of the messages of one Maildir, wherever they lie."""
    return [name for leaf in ("new", "cur") if (maildir / leaf).exists() for name in os.listdir(maildir / leaf)]
