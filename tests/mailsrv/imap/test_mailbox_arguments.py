"""SELECT, CREATE, STATUS and their kin in all their forms."""

import pytest

from mailsrv.imap.mailbox_arguments import (
    AskStatus,
    Create,
    Delete,
    Qresync,
    Rename,
    Select,
    StatusItem,
    Subscribe,
)
from mailsrv.imap.numbers import NumberSet, parse_uids
from tests.mailsrv.imap.parsing import complain, read

UIDS = parse_uids(b"41,43:211,214:541")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("SELECT", b"inbox", Select("INBOX")),
        ("EXAMINE", b'"a b"', Select("a b", read_only=True)),
        ("SELECT", b"x (CONDSTORE)", Select("x", condstore=True)),
        (
            "SELECT",
            b"x (QRESYNC (67890007 20050715194045000 41,43:211,214:541))",
            Select("x", qresync=Qresync(67890007, 20050715194045000, UIDS)),
        ),
        (
            "SELECT",
            b"x (QRESYNC (1 2 1:5 (1,3 2,5)) condstore)",
            Select(
                "x",
                condstore=True,
                qresync=Qresync(1, 2, NumberSet([(1, 5)]), (NumberSet.of([1, 3]), NumberSet.of([2, 5]))),
            ),
        ),
        (
            "SELECT",
            b"x (QRESYNC (1 0 (1 2)))",
            Select("x", qresync=Qresync(1, 0, None, (NumberSet.of([1]), NumberSet.of([2])))),
        ),
        ("CREATE", b"a/", Create("a/")),
        (
            "CREATE",
            b"MySpecial (USE (\\Drafts \\SENT \\sent \\Foo))",
            Create("MySpecial", ("\\Drafts", "\\Sent", "\\Foo")),
        ),
        ("CREATE", b"x (use ())", Create("x")),
        ("DELETE", b"x", Delete("x")),
        ("RENAME", b"x inbox", Rename("x", "INBOX")),
        ("SUBSCRIBE", b"x", Subscribe("x", True)),
        ("UNSUBSCRIBE", b"x", Subscribe("x", False)),
        ("STATUS", b"x (UIDNEXT messages UIDNEXT)", AskStatus("x", (StatusItem.UIDNEXT, StatusItem.MESSAGES))),
        ("STATUS", b"x (" + b" ".join(item.value for item in StatusItem) + b")", AskStatus("x", tuple(StatusItem))),
    ],
)
def test_arguments(name: str, text: bytes, found: object) -> None:
    assert read(name, text, "QRESYNC") == found


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("SELECT", b"", "expected a space and a mailbox name"),
        ("SELECT", b"a b", "expected a list of parameters"),
        ("SELECT", b"a ()", "expected CONDSTORE or QRESYNC"),
        ("SELECT", b"a (FOO)", "expected CONDSTORE or QRESYNC"),
        ("SELECT", b"a (CONDSTORE) b", "expected the end of the command"),
        ("SELECT", b"a (QRESYNC)", "expected a list of what is known"),
        ("SELECT", b"a (QRESYNC (0 1))", "expected a UIDVALIDITY"),
        ("SELECT", b"a (QRESYNC (1))", "expected a space and a mod-sequence"),
        ("SELECT", b"a (QRESYNC (1 2 1:*))", "expected a set of numbers without *"),
        ("SELECT", b"a (QRESYNC (1 2 $))", "expected a set of numbers without *"),
        ("SELECT", b"a (QRESYNC (1 2 1 (1:2 3)))", "expected as many UIDs as numbers"),
        ("SELECT", b"a (QRESYNC (1 2 1 (1)))", "expected a space and a set of UIDs"),
        ("CREATE", b"a (USE)", "expected a space and a list of special uses"),
        ("CREATE", b"a (USE (Sent))", "expected a special use like \\Sent"),
        ("CREATE", b"a (FOO ())", "expected USE"),
        ("CREATE", b"a b", "expected a list of parameters"),
        ("RENAME", b"a", "expected a space and the new mailbox name"),
        ("DELETE", b"a b", "expected the end of the command"),
        ("STATUS", b"a", "expected a space and a list of status items"),
        ("STATUS", b"a ()", "expected a status item like MESSAGES"),
        ("STATUS", b"a (FOO)", "expected a status item like MESSAGES at octet 11"),
        ("STATUS", b"a MESSAGES", "expected a list of status items"),
    ],
)
def test_what_is_wrong(name: str, text: bytes, complaint: str) -> None:
    assert complaint in complain(name, text, "QRESYNC")


def test_qresync_must_be_enabled() -> None:
    assert complain("SELECT", b"a (QRESYNC (1 2))") == "BAD QRESYNC needs ENABLE QRESYNC first"
    assert "[UIDREQUIRED]" in complain("SELECT", b"a (QRESYNC (1 2 1 (1 1)))", "QRESYNC", "UIDONLY")
