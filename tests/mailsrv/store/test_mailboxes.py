"""The file `mailboxes`."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.layout import Layout
from mailsrv.store.mailboxes import Listing, Mailboxes, format_listing, parse_listing
from mailsrv.store.values import MailboxInfo
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock

TEXT = (
    b"mailboxes 1 77\n"
    b".\t70\ts\t-\tF1\tINBOX\n"
    b".A\t77\t-\t\\Sent\tF2\tA b\n"
    b"-\t0\ts\t-\t-\tgone\n"
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "accounts/bob"
    for name in ("tmp", "new", "cur"):
        (path / name).mkdir(parents=True)
    return path


@pytest.fixture
def mailboxes(root, tmp_path):
    return Mailboxes(Disk(), FakeClock(2_000_000_000.0), Layout.of(str(tmp_path), "bob"))


def test_the_file_is_read_as_it_is_written():
    listing = parse_listing(TEXT)
    assert listing == Listing(
        77,
        [
            MailboxInfo("INBOX", True, True, "", "F1", ".", 70),
            MailboxInfo("A b", True, False, "\\Sent", "F2", ".A", 77),
            MailboxInfo("gone", False, True),
        ],
    )
    assert format_listing(listing) == TEXT


@pytest.mark.parametrize(
    ("octets", "line"),
    [
        (b"", 1),
        (TEXT[:-1], 1),
        (b"mailboxes 2 7\n", 1),
        (b"mailboxes 1 x\n", 1),
        (b"\xff\n", 1),
        (TEXT + b"too\tfew\n", 5),
        (TEXT + b".A\t1\ts\t-\tF\tB\n", 5),
        (TEXT + b".B\t1\ts\t-\tF\tA b\n", 5),
        (TEXT + b".B\t1\tx\t-\tF\tB\n", 5),
        (TEXT + b"../B\t1\ts\t-\tF\tB\n", 5),
    ],
)
def test_damage_is_told_with_its_line(root, mailboxes, octets, line):
    (root / "mailboxes").write_bytes(octets)
    with pytest.raises(StorageError, match=f"mailboxes:{line}: .*repair"):
        mailboxes.load()


def test_an_account_begins_with_inbox(root, mailboxes):
    (inbox,) = mailboxes.load()
    assert (inbox.name, inbox.directory, inbox.subscribed, inbox.uidvalidity) == ("INBOX", ".", True, 0)
    assert parse_listing((root / "mailboxes").read_bytes()).lines == [inbox]
    assert mailboxes.load() == (inbox,)


def test_directories_of_others_become_mailboxes(root, mailboxes):
    for name in (".Junk", ".Work.2026", ".Junk&AC4-", ".no-mailbox"):
        (root / name / "cur").mkdir(parents=True)
    (root / ".no-mailbox/cur").rmdir()
    lines = {line.name: line for line in mailboxes.load()}
    assert set(lines) == {"INBOX", "Junk", "Work/2026", "Junk."}
    assert lines["Junk"].special_use == "\\Junk" and lines["Junk"].subscribed
    assert len({line.mailboxid for line in lines.values()}) == 4


def test_a_line_whose_directory_is_gone_stays_when_subscribed(root, mailboxes):
    for name in (".A", ".B"):
        (root / name / "cur").mkdir(parents=True)
    mailboxes.load()
    with mailboxes.change() as listing:
        listing.put(MailboxInfo("B", True, False, "", "F", ".B", 5))
    for name in (".A", ".B"):
        os.rename(root / name, root / name[1:])
    assert {line.name: line.exists for line in mailboxes.load()} == {"INBOX": True, "A": False}


def test_a_special_use_is_given_once(root, mailboxes):
    (root / ".Sent/cur").mkdir(parents=True)
    with mailboxes.change() as listing:
        listing.put(MailboxInfo("Outgoing", False, True, "\\Sent"))
    assert [line.special_use for line in mailboxes.load() if line.name == "Sent"] == ["\\Sent"]
    (root / ".Trash/cur").mkdir(parents=True)
    with mailboxes.change() as listing:
        listing.put(MailboxInfo("Sent", True, True, "\\Trash", "F", ".Sent", 0))
        listing.lines = [line for line in listing.lines if line.name != "Trash"]
    assert [line.special_use for line in mailboxes.load() if line.name == "Trash"] == [""]


def test_what_fails_changes_nothing(root, mailboxes):
    before = mailboxes.load()
    with pytest.raises(KeyError), mailboxes.change() as listing:
        listing.put(MailboxInfo("A", False, True))
        raise KeyError
    assert mailboxes.load() == before


def test_what_another_process_writes_is_seen(root, mailboxes, tmp_path):
    mailboxes.load()
    other = Mailboxes(Disk(), FakeClock(2_000_000_000.0), Layout.of(str(tmp_path), "bob"))
    with other.change() as listing:
        listing.put(MailboxInfo("A", False, True))
    assert [line.name for line in mailboxes.load()] == ["INBOX", "A"]


def test_uidvalidity_ascends(root):
    listing = Listing()
    assert [listing.new_uidvalidity(now) for now in (100.0, 90.0, 200.9)] == [100, 101, 200]


def test_a_file_that_is_set_aside_is_made_anew(root, mailboxes):
    (root / "mailboxes").write_bytes(b"nonsense")
    assert mailboxes.set_aside() == f"{root}/mailboxes.damaged"
    assert (root / "mailboxes.damaged").read_bytes() == b"nonsense"
    assert [line.name for line in mailboxes.load()] == ["INBOX"]


def test_a_mailbox_is_found_without_reading_a_young_directory_again(root, tmp_path, monkeypatch):
    clock = FakeClock(os.stat(root).st_mtime + 1)
    mailboxes = Mailboxes(Disk(), clock, Layout.of(str(tmp_path), "bob"))
    with mailboxes.change() as listing:
        (root / ".A/cur").mkdir(parents=True)
        listing.put(MailboxInfo("A", True, True, "", "F2", ".A", 77))
    clock.advance(os.stat(root).st_mtime + 1 - clock.now())
    assert mailboxes.find("A") is not None
    reads = []
    read = Disk.read
    monkeypatch.setattr(Disk, "read", lambda *arguments: reads.append(1) or read(*arguments))
    line = mailboxes.find("A")
    assert line is not None and line.directory == ".A" and not reads
    assert mailboxes.find("B") is None and reads  # who is not known may have come within the same moment
    with mailboxes.change() as listing:
        listing.lines = [line for line in listing.lines if line.name != "A"]
        os.rename(root / ".A", root / "removed.1.F.A")
    assert mailboxes.find("A") is None
