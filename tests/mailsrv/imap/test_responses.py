"""Untagged responses as octets; strings are read back by the core's own cursor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap import responses
from mailsrv.imap.grammar import read_mailbox, try_date_time
from mailsrv.imap.mailbox_arguments import StatusItem
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.tokens import Cursor


@given(st.binary())
def test_strings_are_read_back(octets: bytes) -> None:
    assert Cursor(responses.binary(octets)).try_string(binary=True) == octets
    if b"\0" not in octets:
        assert Cursor(responses.string(octets)).expect_string("a string") == octets
        assert Cursor(responses.astring(octets)).expect_astring("a string") == octets


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0")), st.booleans())
def test_mailbox_names_are_read_back(name: str, utf8: bool) -> None:
    octets = responses.mailbox(name, utf8)
    read = read_mailbox(Cursor(octets, 0, utf8))
    assert read == ("INBOX" if name.isascii() and name.upper() == "INBOX" else name)
    if utf8 and name.isprintable():
        assert b"{" not in octets or "{" in name or len(name) > responses.MAX_QUOTED


@given(st.integers(-62135596800, 253402300799))
def test_dates_are_read_back(seconds: int) -> None:
    assert try_date_time(Cursor(responses.date_time(seconds))) == seconds


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (responses.string(b""), b'""'),
        (responses.string(b'a"b\\'), b'"a\\"b\\\\"'),
        (responses.string("é".encode()), b"{2}\r\n\xc3\xa9"),
        (responses.string(b"a\r\nb"), b"{4}\r\na\r\nb"),
        (responses.string(b"x" * 1025), b"{1025}\r\n" + b"x" * 1025),
        (responses.nstring(None), b"NIL"),
        (responses.nstring(b"NIL"), b'"NIL"'),
        (responses.astring(b"nil"), b'"nil"'),
        (responses.astring(b"a/b.c"), b"a/b.c"),
        (responses.astring(b"a b"), b'"a b"'),
        (responses.binary(b"\0"), b"~{1}\r\n\0"),
        (responses.mailbox("Entwürfe", False), b"Entw&APw-rfe"),
        (responses.mailbox("Entwürfe", True), '"Entwürfe"'.encode()),
        (responses.mailbox("a&b", False), b"a&-b"),
        (responses.mailbox("", True), b'""'),
        (responses.date_time(837596665), b'"17-Jul-1996 09:44:25 +0000"'),
        (responses.date_time(0), b'" 1-Jan-1970 00:00:00 +0000"'),
        (responses.exists(23), b"* 23 EXISTS\r\n"),
        (responses.recent(), b"* 0 RECENT\r\n"),
        (responses.flags(["\\Seen", "a"]), b"* FLAGS (\\Seen a)\r\n"),
        (responses.listed(["\\HasNoChildren"], "a b", False), b'* LIST (\\HasNoChildren) "/" "a b"\r\n'),
        (responses.listed([], "INBOX", False, word=b"LSUB"), b'* LSUB () "/" INBOX\r\n'),
        (
            responses.listed(["\\NonExistent"], "new", True, [responses.old_name("old", True)]),
            b'* LIST (\\NonExistent) "/" new ("OLDNAME" (old))\r\n',
        ),
        (
            responses.listed([], "Foo", True, [responses.child_info(["SUBSCRIBED"])]),
            b'* LIST () "/" Foo ("CHILDINFO" ("SUBSCRIBED"))\r\n',
        ),
        (responses.delimiter(), b'* LIST (\\Noselect) "/" ""\r\n'),
        (
            responses.status(
                "blurdybloop",
                [(StatusItem.MESSAGES, 231), (StatusItem.MAILBOXID, "F1"), (StatusItem.APPENDLIMIT, None)],
                False,
            ),
            b"* STATUS blurdybloop (MESSAGES 231 MAILBOXID (F1) APPENDLIMIT NIL)\r\n",
        ),
        (
            responses.namespace([""], ["Other Users/"], None, False),
            b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL\r\n',
        ),
        (responses.expunged(44), b"* 44 EXPUNGE\r\n"),
        (responses.vanished(NumberSet.of([41, 43, 44])), b"* VANISHED 41,43:44\r\n"),
        (responses.vanished(NumberSet.of([1]), earlier=True), b"* VANISHED (EARLIER) 1\r\n"),
        (responses.fetched(23, [b"FLAGS (\\Seen)", b"UID 7"]), b"* 23 FETCH (FLAGS (\\Seen) UID 7)\r\n"),
        (responses.uid_fetched(7, [b"FLAGS ()"]), b"* 7 UIDFETCH (FLAGS ())\r\n"),
        (responses.searched([2, 84, 882]), b"* SEARCH 2 84 882\r\n"),
        (responses.searched([]), b"* SEARCH\r\n"),
        (responses.searched([2, 5], 917162500), b"* SEARCH 2 5 (MODSEQ 917162500)\r\n"),
        (responses.searched([5, 2], word=b"SORT"), b"* SORT 5 2\r\n"),
        (responses.esearched("A282", [b"MIN 2", b"COUNT 3"], uid=False), b'* ESEARCH (TAG "A282") MIN 2 COUNT 3\r\n'),
        (responses.esearched("A", [], uid=True), b'* ESEARCH (TAG "A") UID\r\n'),
        (
            responses.esearched("t", [b"ALL 4001"], uid=True, of=("folder1", 1, False)),
            b'* ESEARCH (TAG "t" MAILBOX folder1 UIDVALIDITY 1) UID ALL 4001\r\n',
        ),
    ],
)
def test_responses(octets: bytes, expected: bytes) -> None:
    assert octets == expected
