"""LIST in all its forms: those of RFC 5258 section 5 among them."""

import pytest

from mailsrv.imap.list_arguments import List, ListReturns, Lsub, Selection
from mailsrv.imap.mailbox_arguments import StatusItem
from tests.mailsrv.imap.parsing import complain, read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'"" ""', List("", ("",))),
        (b'"" *', List("", ("*",))),
        (b"~/Mail/ %", List("~/Mail/", ("%",))),
        (b'(SUBSCRIBED) "" "*"', List("", ("*",), Selection(subscribed=True), extended=True)),
        (b'() "" "%" RETURN (CHILDREN)', List("", ("%",), returns=ListReturns(children=True), extended=True)),
        (b'(remote) "" "%"', List("", ("%",), Selection(remote=True), extended=True)),
        (
            b'(SUBSCRIBED REMOTE RECURSIVEMATCH) "" "*" RETURN (subscribed CHILDREN)',
            List("", ("*",), Selection(True, True, True), ListReturns(subscribed=True, children=True), True),
        ),
        (b'"" ("INBOX" "Drafts" Sent/%)', List("", ("INBOX", "Drafts", "Sent/%"), extended=True)),
        (b'(SPECIAL-USE) "" "*"', List("", ("*",), Selection(special_use=True), extended=True)),
        (
            b'"" % RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE MYRIGHTS)',
            List(
                "",
                ("%",),
                returns=ListReturns(
                    special_use=True, my_rights=True, status=(StatusItem.MESSAGES, StatusItem.UNSEEN)
                ),
                extended=True,
            ),
        ),
        (
            b'"" % RETURN (METADATA ("/shared/Comment" /private/a))',
            List("", ("%",), returns=ListReturns(metadata=("/shared/comment", "/private/a")), extended=True),
        ),
        (b'"" % RETURN ()', List("", ("%",), extended=True)),
    ],
)
def test_list(text: bytes, found: List) -> None:
    assert read("LIST", text) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "expected a space and a reference"),
        (b'""', "expected a space and a pattern"),
        (b'(RECURSIVEMATCH) "" *', "expected SUBSCRIBED beside RECURSIVEMATCH"),
        (b'(REMOTE RECURSIVEMATCH) "" *', "expected SUBSCRIBED beside RECURSIVEMATCH"),
        (b'(FOO) "" *', "expected SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE"),
        (b'"" ()', "expected a mailbox pattern"),
        (b'"" * FOO', "expected RETURN"),
        (b'"" * RETURN', "expected a space and a list of return options"),
        (b'"" * RETURN (FOO)', "expected a return option like CHILDREN"),
        (b'"" * RETURN (STATUS)', "expected a space and a list of status items"),
        (b'"" * RETURN (METADATA (foo))', "expected an entry like /private/comment"),
        (b'"" * RETURN (CHILDREN) x', "expected the end of the command"),
        (b'"" &', "the mailbox name is not modified UTF-7"),
        (b'"" (' + b" ".join([b"a"] * 101) + b")", "at most 100"),
    ],
)
def test_what_is_wrong(text: bytes, complaint: str) -> None:
    assert complaint in complain("LIST", text)


def test_lsub() -> None:
    assert read("LSUB", b'"#news." "comp.*"') == Lsub("#news.", "comp.*")
    assert "expected a space and a pattern" in complain("LSUB", b'""')
    assert "expected the end" in complain("LSUB", b'"" * x')
