"""SEARCH, SORT, THREAD and ESEARCH with their options."""

import pytest

from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter
from mailsrv.imap.partial import PartialRange
from mailsrv.imap.search_arguments import Algorithm, Criterion, Esearch, Returns, Search, Sort, SortKey, Thread
from mailsrv.imap.search_keys import Everything, HasFlag, Not
from tests.mailsrv.imap.parsing import complain, read

ALL = Everything()


@pytest.mark.parametrize(
    ("text", "returns"),
    [
        (b"ALL", None),
        (b"RETURN () ALL", Returns(all=True)),
        (b"RETURN (MIN COUNT) ALL", Returns(minimum=True, count=True)),
        (b"return (max save all) CHARSET UTF-8 ALL", Returns(maximum=True, save=True, all=True)),
        (b"RETURN (PARTIAL -1:-100 COUNT) ALL", Returns(partial=PartialRange(1, 100, True), count=True)),
    ],
)
def test_return_options(text: bytes, returns: Returns | None) -> None:
    assert read("SEARCH", text) == Search(ALL, returns)
    assert read("UID SEARCH", text) == Search(ALL, returns, uid=True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"RETURN", "expected a space and a list of return options"),
        (b"RETURN ALL", "expected a list of return options"),
        (b"RETURN (FOO) ALL", "expected MIN, MAX, ALL, COUNT, SAVE or PARTIAL"),
        (b"RETURN (PARTIAL) ALL", "expected a space and a range"),
        (b"RETURN (ALL PARTIAL 1:5) ALL", "BAD RETURN has ALL or PARTIAL, not both"),
        (b"RETURN (ALL)", "expected a space and what comes behind"),
    ],
)
def test_wrong_return_options(text: bytes, complaint: str) -> None:
    assert complaint in complain("SEARCH", text)


def test_sort() -> None:
    assert read("SORT", b"(SUBJECT) UTF-8 SEEN") == Sort((Criterion(SortKey.SUBJECT),), HasFlag("\\Seen"))
    assert read("UID SORT", b"RETURN (COUNT) (reverse date DISPLAYFROM) US-ASCII ALL") == Sort(
        (Criterion(SortKey.DATE, True), Criterion(SortKey.DISPLAYFROM)), ALL, Returns(count=True), uid=True
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"SUBJECT UTF-8 ALL", "expected a list of criteria"),
        (b"() UTF-8 ALL", "expected a criterion like ARRIVAL"),
        (b"(REVERSE) UTF-8 ALL", "expected a space and a criterion"),
        (b"(FOO) UTF-8 ALL", "expected a criterion like ARRIVAL"),
        (b"(DATE)", "expected a space and a charset"),
        (b"(DATE) UTF-8", "expected a space and a search key"),
        (b"(DATE) X-NONE ALL", "NO [BADCHARSET"),
        (b"(" + b" ".join([b"DATE"] * 21) + b") UTF-8 ALL", "at most 20"),
    ],
)
def test_wrong_sorts(text: bytes, complaint: str) -> None:
    assert complaint in complain("SORT", text)


def test_thread() -> None:
    assert read("THREAD", b"references UTF-8 ALL") == Thread(Algorithm.REFERENCES, ALL)
    assert read("UID THREAD", b"ORDEREDSUBJECT US-ASCII ALL") == Thread(Algorithm.ORDEREDSUBJECT, ALL, uid=True)
    assert "expected ORDEREDSUBJECT or REFERENCES" in complain("THREAD", b"REFS UTF-8 ALL")
    assert "expected a space and a charset" in complain("THREAD", b"REFERENCES")


def test_esearch() -> None:
    unseen = Not(HasFlag("\\Seen"))
    assert read("ESEARCH", b'IN (mailboxes "folder1" subtree "folder2") UNSEEN') == Esearch(
        (MailboxFilter(FilterKind.MAILBOXES, ("folder1",)), MailboxFilter(FilterKind.SUBTREE, ("folder2",))), unseen
    )
    assert read("ESEARCH", b"IN (subtree-one (a b) selected personal) RETURN (COUNT) UNSEEN") == Esearch(
        (
            MailboxFilter(FilterKind.SUBTREE_ONE, ("a", "b")),
            MailboxFilter(FilterKind.SELECTED),
            MailboxFilter(FilterKind.PERSONAL),
        ),
        unseen,
        Returns(count=True),
    )
    assert read("ESEARCH", b"UNSEEN") == Esearch((), unseen)
    assert "expected a filter" in complain("ESEARCH", b"IN (selected-delayed) UNSEEN")
    assert "expected a filter" in complain("ESEARCH", b"IN () UNSEEN")
    assert "expected a space and a search key" in complain("ESEARCH", b"IN (selected)")


def test_no_charset_where_utf_8_is_enabled() -> None:
    assert complain("SEARCH", b"CHARSET UTF-8 ALL", "UTF8=ACCEPT").startswith("BAD CHARSET is not used")
    assert read("SEARCH", b"CHARSET UTF-8 ALL", "IMAP4REV2") == Search(ALL)
    assert read("SORT", b"(DATE) UTF-8 ALL", "UTF8=ACCEPT") == Sort((Criterion(SortKey.DATE),), ALL)


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("SEARCH", b"RETURN (SAVE) CHARSET X-NONE ALL"),
        ("SEARCH", b'RETURN (MIN SAVE) FROM "\xff"'),
        ("UID SORT", b"RETURN (SAVE) (DATE) X-NONE ALL"),
        ("ESEARCH", b"RETURN (SAVE) CHARSET X-NONE ALL"),
    ],
)
def test_a_refusal_of_what_was_to_be_saved_reaches_floor_4(verb: str, text: bytes) -> None:
    arguments = read(verb, text)
    assert isinstance(arguments, Search | Sort | Esearch)
    assert arguments.refused is not None and str(arguments.refused.code).startswith("BADCHARSET")
