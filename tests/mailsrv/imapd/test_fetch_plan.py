"""Twin of imapd/fetch_plan."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.fetch_grammar import read_items
from mailsrv.imap.fetch_items import Item
from mailsrv.imap.tokens import Cursor
from mailsrv.imapd.fetch_plan import Plan, cut, date_text, literal, make_plan


def plan(text: str, uid_only: bool = False, marks: bool = False) -> Plan:
    return make_plan(read_items(Cursor(text.encode())), uid_only, marks)


def test_what_rows_answer_needs_no_file() -> None:
    found = plan("(UID FLAGS RFC822.SIZE THREADID)")
    assert found.columns == ("uid", "flags", "size")
    assert found.template == b"* %d FETCH (UID %d FLAGS (%b) RFC822.SIZE %d THREADID NIL)\r\n"
    assert (found.late, found.ready, found.flags, found.modseq) == ((), (), True, False)


def test_ready_columns_may_be_missing() -> None:
    found = plan("(ENVELOPE BODY BODYSTRUCTURE PREVIEW)")
    assert found.columns == ("uid", "envelope", "structure", "preview", "header_size")
    assert found.ready == ((1, "envelope"), (2, "structure"), (3, "preview"))


def test_a_lazy_preview_may_be_nothing() -> None:
    assert plan("(PREVIEW (LAZY))").ready == ()
    assert plan("(PREVIEW (LAZY) PREVIEW)").ready == ((1, "preview"),)


def test_fields_that_are_kept() -> None:
    found = plan("(BODY.PEEK[HEADER.FIELDS (Date FROM)])")
    assert found.columns == ("uid", "fields", "header_size") and not found.late
    assert found.template == b"* %d FETCH (BODY[HEADER.FIELDS (Date FROM)] %b)\r\n"


@pytest.mark.parametrize(
    "items", ["BODY[HEADER.FIELDS (X-Unknown)]", "BODY[HEADER.FIELDS.NOT (Date)]", "BODY[1.HEADER.FIELDS (To)]"]
)
def test_other_fields_are_in_the_file(items: str) -> None:
    assert len(plan(items).late) == 1


def test_a_percent_sign_in_a_field_name() -> None:
    found = plan('(BODY.PEEK[HEADER.FIELDS ("a%b")])')
    assert found.template % 1 == b"* 1 FETCH ("  # late: not kept, so its name is no template


def test_what_only_the_file_answers() -> None:
    found = plan("(UID BODY.PEEK[])")
    assert found.columns == ("uid", "path")
    assert (found.template, found.separator, found.whole) == (b"* %d FETCH (UID %d", b" ", b"BODY[]")
    assert plan("RFC822").whole == b"RFC822"
    assert plan("BODY[TEXT]").columns == ("uid", "path", "header_size")
    assert plan("BODY[1]").columns == ("uid", "path", "header_size", "structure")
    assert plan("(BODY[] BODY[1.2])").whole == b""
    assert plan("BODY[]<0.100>").whole == b""


def test_marking_needs_flags() -> None:
    assert plan("BODY[]", marks=True).columns == ("uid", "path", "flags")


def test_uid_only() -> None:
    assert plan("(UID FLAGS)", uid_only=True).template == b"* %d UIDFETCH (FLAGS (%b))\r\n"
    assert plan("(UID)", uid_only=True).template == b"* %d UIDFETCH (UID %d)\r\n"
    assert Item.UID in read_items(Cursor(b"(UID FLAGS)"))


@given(st.integers(min_value=0, max_value=253402300799))
def test_dates(seconds: int) -> None:
    text = date_text(seconds).decode()
    date = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * date.month - 3 : 3 * date.month]
    assert text == f'"{date.day:2}-{month}-{date.year:04} {date:%H:%M:%S} +0000"'


def test_dates_without_a_form() -> None:
    assert date_text(-1).startswith(b'" 1-Jan-1970')
    assert date_text(1 << 60).startswith(b'"31-Dec-9999')


def test_pieces() -> None:
    assert literal(b"a\r\n") == b"{3}\r\na\r\n"
    assert cut(b"abcdef", (2, 3)) == b"cde"
    assert cut(b"abcdef", (9, 3)) == b""
    assert cut(b"abcdef", None) == b"abcdef"
