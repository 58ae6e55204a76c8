"""Search keys in all their forms, bounds, charsets; and trees made at random are read back."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap import search_keys as keys
from mailsrv.imap.numbers import SAVED, SequenceSet
from mailsrv.imap.search_arguments import Search
from mailsrv.imap.search_keys import Comparison, DateOf, Key, Where
from tests.mailsrv.imap.parsing import complain, read

ALL = keys.Everything()
SEEN = keys.HasFlag("\\Seen")
DAY = date(1994, 2, 1)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", ALL),
        (b"seen", SEEN),
        (b"UNSEEN", keys.Not(SEEN)),
        (b"NOT UNSEEN", SEEN),
        (b"NOT NOT SEEN", SEEN),
        (b"ANSWERED", keys.HasFlag("\\Answered")),
        (b"UNDELETED", keys.Not(keys.HasFlag("\\Deleted"))),
        (b"KEYWORD $Forwarded", keys.HasFlag("$Forwarded")),
        (b"UNKEYWORD a", keys.Not(keys.HasFlag("a"))),
        (b"NEW", keys.Not(ALL)),
        (b"OLD", ALL),
        (b"RECENT", keys.Not(ALL)),
        (b"FROM Smith", keys.Contains(Where.FROM, "Smith")),
        (b'TEXT "a b"', keys.Contains(Where.TEXT, "a b")),
        (b"BODY {3}\r\na)b", keys.Contains(Where.BODY, "a)b")),
        (b'SUBJECT ""', keys.Contains(Where.SUBJECT, "")),
        (b'HEADER Message-ID "<a@b>"', keys.HeaderContains("Message-ID", "<a@b>")),
        (b"BEFORE 1-Feb-1994", keys.Dated(DateOf.INTERNAL, Comparison.BEFORE, DAY)),
        (b'SENTON "1-Feb-1994"', keys.Dated(DateOf.SENT, Comparison.ON, DAY)),
        (b"SAVEDSINCE 1-Feb-1994", keys.Dated(DateOf.SAVED, Comparison.SINCE, DAY)),
        (b"SAVEDATESUPPORTED", keys.SaveDateSupported()),
        (b"LARGER 0", keys.Larger(0)),
        (b"SMALLER 9223372036854775807", keys.Smaller(2**63 - 1)),
        (b"YOUNGER 259200", keys.Younger(259200)),
        (b"OLDER 1", keys.Older(1)),
        (b"MODSEQ 620162338", keys.Modified(620162338)),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', keys.Modified(620162338)),
        (b"EMAILID M6d99ac3275bb4e", keys.HasEmailId("M6d99ac3275bb4e")),
        (b"THREADID T-_1", keys.HasThreadId("T-_1")),
        (b"UID 1:5,*", keys.Among(SequenceSet.parse(b"1:5,*"), True)),
        (b"1:5", keys.Among(SequenceSet.parse(b"1:5"), False)),
        (b"*", keys.Among(SequenceSet.parse(b"*"), False)),
        (b"$", keys.Among(SAVED, False)),
        (b"OR SEEN ALL", keys.Or(SEEN, ALL)),
        (b"SEEN ALL", keys.And((SEEN, ALL))),
        (b"(SEEN ALL)", keys.And((SEEN, ALL))),
        (b"(SEEN)", SEEN),
        (b"OR (SEEN ALL) NOT (ALL)", keys.Or(keys.And((SEEN, ALL)), keys.Not(ALL))),
        (b"CHARSET utf-8 ALL", ALL),
        (b'CHARSET "US-ASCII" FROM a', keys.Contains(Where.FROM, "a")),
    ],
)
def test_keys(text: bytes, key: Key) -> None:
    assert read("SEARCH", text) == Search(key)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "expected a space and a search key"),
        (b" ", "expected a set of numbers"),
        (b"FOO", "expected a search key at octet 8"),
        (b"SEEN FOO", "expected a search key at octet 13"),
        (b"NOT", "expected a space and its argument"),
        (b"OR SEEN", "expected a space and another search key"),
        (b"()", "expected a set of numbers"),
        (b"(SEEN", "the end of the list of search keys"),
        (b"SEEN)", "expected the end of the command"),
        (b"FROM", "expected a space and its argument"),
        (b"FROM (a)", "expected a text"),
        (b"KEYWORD \\Seen", "expected a keyword"),
        (b"BEFORE 1994", "expected a date"),
        (b"LARGER a", "expected a number of octets"),
        (b"OLDER 0", "expected a number of seconds"),
        (b"YOUNGER 4294967296", "expected a number of seconds"),
        (b'MODSEQ "/foo" all 1', "expected an entry"),
        (b'MODSEQ "/flags/a" none 1', "expected priv, shared or all"),
        (b"EMAILID a.b", "expected an object identifier"),
        (b"EMAILID " + b"a" * 256, "expected an object identifier"),
        (b"0", "expected a set of numbers"),
        (b"1:2:3", "expected a set of numbers"),
        (b"CHARSET", "expected a space and a charset"),
        (b"CHARSET x-none ALL", "NO [BADCHARSET (UTF-8 US-ASCII)]"),
        (b'FROM "\xff"', "NO [BADCHARSET"),
    ],
)
def test_what_is_wrong(text: bytes, complaint: str) -> None:
    assert complaint in complain("SEARCH", text)


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        (b"ISO-8859-15", b"\xa4", "€"),
        (b"windows-1252", b"\x80", "€"),
        (b"KOI8-R", b"\xc1", "а"),
        (b"ISO-2022-JP", b'\x1b$B%"\x1b(B', "ア"),
        (b"GB18030", b"\xa4\xa2", "あ"),
        (b"US-ASCII", "é".encode(), "é"),
    ],
)
def test_charsets(charset: bytes, octets: bytes, text: str) -> None:
    literal = b"{%d}\r\n%b" % (len(octets), octets)
    found = read("SEARCH", b"CHARSET " + charset + b" SUBJECT " + literal)
    assert found == Search(keys.Contains(Where.SUBJECT, text))


def test_trees_are_bounded() -> None:
    for opening, closing in ((b"(", b")"), (b"NOT ", b""), (b"OR ALL ", b"")):
        read("SEARCH", opening * 50 + b"ALL" + closing * 50)
        assert "at most 50 levels" in complain("SEARCH", opening * 51 + b"ALL" + closing * 51)
        assert "at most 50 levels" in complain("SEARCH", opening * 20000)
    read("SEARCH", b" ".join([b"ALL"] * 2000))
    assert "at most 2000" in complain("SEARCH", b" ".join([b"ALL"] * 2001))


LEAVES = st.sampled_from(
    [
        (b"ALL", ALL),
        (b"SEEN", SEEN),
        (b"1,3:*", keys.Among(SequenceSet.parse(b"1,3:*"), False)),
        (b'TO "x y"', keys.Contains(Where.TO, "x y")),
        (b"LARGER 7", keys.Larger(7)),
    ]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: (b"NOT (%b)" % one[0], one[1].key if isinstance(one[1], keys.Not) else keys.Not(one[1]))),
        st.tuples(inner, inner).map(
            lambda two: (b"OR (%b) (%b)" % (two[0][0], two[1][0]), keys.Or(two[0][1], two[1][1]))
        ),
        st.lists(inner, min_size=2, max_size=4).map(
            lambda some: (
                b"(" + b" ".join(b"(%b)" % text for text, _ in some) + b")",
                keys.And(tuple(key for _, key in some)),
            )
        ),
    ),
    max_leaves=12,
)


@given(TREES)
def test_trees_are_read_back(tree: tuple[bytes, Key]) -> None:
    text, key = tree
    assert read("UID SEARCH", text) == Search(key, uid=True)


def test_message_numbers_end_with_uid_only() -> None:
    assert complain("UID SEARCH", b"OR SEEN 1:5", "UIDONLY").startswith("BAD [UIDREQUIRED]")
    assert read("UID SEARCH", b"$", "UIDONLY") == Search(keys.Among(SAVED, False), uid=True)
