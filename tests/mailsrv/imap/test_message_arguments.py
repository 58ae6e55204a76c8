"""STORE, COPY, MOVE, EXPUNGE, and what announces a message."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal
from mailsrv.imap.message_arguments import (
    Announcement,
    Append,
    Change,
    Copy,
    Expunge,
    Move,
    Replace,
    Store,
    read_next_message,
)
from mailsrv.imap.numbers import SAVED, STAR, SequenceSet
from mailsrv.imap.tokens import Cursor, Incomplete
from tests.mailsrv.imap.parsing import complain, make_situation, read

SET = SequenceSet.parse(b"2:4")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("STORE", b"2:4 +FLAGS (\\Deleted)", Store(SET, Change.ADD, ("\\Deleted",))),
        ("STORE", b"2:4 -flags.silent \\seen $Junk", Store(SET, Change.REMOVE, ("\\Seen", "$Junk"), silent=True)),
        ("UID STORE", b"2:4 FLAGS ()", Store(SET, Change.REPLACE, (), uid=True)),
        (
            "STORE",
            b"2:4 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)",
            Store(SET, Change.ADD, ("\\Deleted",), silent=True, unchanged_since=12121230045),
        ),
        (
            "UID STORE",
            b"$ (unchangedsince 0) FLAGS a",
            Store(SAVED, Change.REPLACE, ("a",), unchanged_since=0, uid=True),
        ),
        ("COPY", b"2:4 inbox", Copy(SET, "INBOX")),
        ("UID COPY", b"2:4 x", Copy(SET, "x", uid=True)),
        ("MOVE", b"2:4 x", Move(SET, "x")),
        ("UID MOVE", b"2:4 x", Move(SET, "x", uid=True)),
        ("EXPUNGE", b"", Expunge()),
        ("UID EXPUNGE", b"2:4", Expunge(SET)),
        ("APPEND", b"x {5}", (Append("x"), Announcement((), None, 5, False, False))),
        (
            "APPEND",
            b'x (a b) "17-Jul-1996 02:44:25 -0700" ~{5+}',
            (Append("x"), Announcement(("a", "b"), 837596665, 5, True, False)),
        ),
        ("APPEND", b"{3}\r\na b {5}", (Append("a b"), Announcement((), None, 5, False, False))),
        ("APPEND", b"x UTF8 (~{5}", (Append("x"), Announcement((), None, 5, True, True))),
        (
            "REPLACE",
            b"5 x (\\Recent \\DRAFT) {9223372036854775808}",
            (Replace(5, "x"), Announcement(("\\Draft",), None, 2**63, False, False)),
        ),
        ("UID REPLACE", b"* x {1}", (Replace(STAR, "x", uid=True), Announcement((), None, 1, False, False))),
    ],
)
def test_arguments(name: str, text: bytes, found: object) -> None:
    assert read(name, text, "UTF8=ACCEPT") == found


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("STORE", b"2", "expected a space and FLAGS, +FLAGS or -FLAGS"),
        ("STORE", b"2 FLAGS", "expected a space and flags"),
        ("STORE", b"2 *FLAGS a", "expected FLAGS, +FLAGS or -FLAGS"),
        ("STORE", b"2 FLAGS.LOUD a", "expected FLAGS, +FLAGS or -FLAGS"),
        ("STORE", b"2 FLAGS (a", "expected a space or the end of the list of flags"),
        ("STORE", b"2 FLAGS a  b", "expected a flag"),
        ("STORE", b"2 FLAGS a)", "expected the end of the command"),
        ("STORE", b"2 FLAGS (\\Recent)", "\\Recent is nothing that a client can store"),
        ("STORE", b"2 (UNCHANGEDSINCE) FLAGS a", "expected a space and a mod-sequence"),
        ("STORE", b"2 (FOO 1) FLAGS a", "expected UNCHANGEDSINCE"),
        ("STORE", b"2 FLAGS " + b" ".join([b"a"] * 202), "at most 200"),
        ("COPY", b"2", "expected a space and a mailbox name"),
        ("COPY", b"x y", "expected a set of numbers"),
        ("MOVE", b"2 x y", "expected the end of the command"),
        ("EXPUNGE", b"1", "expected the end of the command"),
        ("UID EXPUNGE", b"", "expected a space and a set of UIDs"),
        ("APPEND", b"x (a) (b) {5}", "expected a message as literal"),
        ("APPEND", b"x {5}\r\nabcde", "expected a message as literal"),
        ("APPEND", b"x UTF8 {5}", "expected a message as literal"),
        ("REPLACE", b"$ x {5}", "expected a number or *"),
    ],
)
def test_what_is_wrong(name: str, text: bytes, complaint: str) -> None:
    assert complaint in complain(name, text, "UTF8=ACCEPT")


def test_a_literal_that_is_no_message() -> None:
    with pytest.raises(Incomplete):
        read("APPEND", b"{5}")


def test_what_follows_a_message() -> None:
    situation = make_situation()
    assert read_next_message(Cursor(b""), situation) is None
    assert read_next_message(Cursor(b" (a) {7+}"), situation) == Announcement(("a",), None, 7, False, False)
    assert read_next_message(Cursor(b"  {7+}"), situation) == Announcement((), None, 7, False, False)
    for octets in (b" ", b"x", b"{7}", b" {7}\r\n", b" CATENATE (URL x)"):
        with pytest.raises(GrammarError):
            read_next_message(Cursor(octets), situation)
    with pytest.raises(Refusal):
        read_next_message(Cursor(b" UTF8 (~{5}"), situation)
