"""A Maildir as a source."""

import os

import pytest

from mailsrv.cli.import_maildir import MaildirSource
from mailsrv.cli.import_source import Unreadable
from mailsrv.errors import Refused
from tests.mailsrv.cli.account_house import make_maildir, put


def read(source, name="INBOX", known=()):
    [origin] = [one for one in source.mailboxes() if one.name == name]
    return list(source.items(origin, known))


def test_messages_the_oldest_first(tmp_path):
    root = make_maildir(tmp_path)
    (root / "dovecot-keywords").write_text("0 work\n1 $Label1\n" + "9" * 5000 + " x\n")
    put(root / "cur" / "2.b.h,S=12:2,FSab,x", "new\n", 2000)
    put(root / "new" / "1.a.h", "old\n", 1000)
    put(root / "cur" / "3.c.h:2,PRTDz", "later\n", 3000)
    put(root / "cur" / ".hidden")
    items = read(MaildirSource(str(root)), known={"3.c.h"})
    assert [(one.key, one.label, one.flags, one.received) for one in items] == [
        ("1.a.h", "new/1.a.h", frozenset(), 1000),
        ("2.b.h,S=12", "cur/2.b.h,S=12:2,FSab,x", {"\\Flagged", "\\Seen", "work", "$Label1"}, 2000),
        ("3.c.h", "cur/3.c.h:2,PRTDz", {"$Forwarded", "\\Answered", "\\Deleted", "\\Draft"}, 3000),
    ]
    assert [one.pieces and b"".join(one.pieces) for one in items] == [b"old\n", b"new\n", None]


def test_mailboxes_of_both_layouts(tmp_path):
    root = make_maildir(tmp_path, ".Sent", ".a.b", ".K&APY-ln", ".x&AC4-y", "Plain/Deep", "removed.1.F")
    os.makedirs(root / ".nothing")
    put(root / ".Sent/cur/1.a")
    (root / "subscriptions").write_text("V\t2\n\na\tb\nPlain/Deep\n")
    found = {one.name: one for one in MaildirSource(str(root)).mailboxes()}
    assert list(found) == ["INBOX", "Köln", "Plain/Deep", "Sent", "a/b", "x.y"]
    assert (found["Sent"].special_use, found["Sent"].count) == ("\\Sent", 1)
    assert [name for name, one in found.items() if one.subscribed] == ["INBOX", "Plain/Deep", "a/b"]


def test_only_plain_files_are_read(tmp_path):
    root = make_maildir(tmp_path / "m")
    secret = put(tmp_path / "secret")
    os.symlink(secret, root / "cur" / "1.link")
    os.mkfifo(root / "cur" / "2.pipe")
    os.mkdir(root / "cur" / "3.directory")
    for item in read(MaildirSource(str(root))):
        with pytest.raises(Unreadable):
            list(item.pieces)


def test_no_maildir(tmp_path):
    with pytest.raises(Refused, match="no such directory"):
        MaildirSource(str(tmp_path / "none"))
    with pytest.raises(Refused, match="cur and new"):
        MaildirSource(str(tmp_path)).mailboxes()
