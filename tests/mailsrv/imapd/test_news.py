"""News as octets, in each of the forms that clients enable; the order is tests/cases/imap/views.dialog's."""

import pytest

from mailsrv.imapd.news import make_flag_lines, make_news
from mailsrv.store.keywords import Table

from tests.mailsrv.imapd.test_view import make


@pytest.mark.parametrize(
    ("enabled", "lines"),
    [
        ((), ["* 1 EXPUNGE", "* 3 EXISTS", "* 1 FETCH (UID 2 FLAGS (\\Seen))"]),
        (("CONDSTORE",), ["* 1 EXPUNGE", "* 3 EXISTS", "* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (7))"]),
        (("QRESYNC",), ["* VANISHED 1", "* 3 EXISTS", "* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (7))"]),
        (("UIDONLY",), ["* VANISHED 1", "* 3 EXISTS", "* 2 UIDFETCH (FLAGS (\\Seen))"]),
        (("UIDONLY", "CONDSTORE"), ["* VANISHED 1", "* 3 EXISTS", "* 2 UIDFETCH (FLAGS (\\Seen) MODSEQ (7))"]),
    ],
)
def test_forms(enabled, lines) -> None:
    box, view = make(3)
    box.remove(1)
    box.add()
    box.flag(2, 1)
    view.sync()
    assert make_news(view, frozenset(enabled), True).decode().splitlines() == lines


def test_with_qresync_flags_wait_behind_what_is_gone() -> None:
    box, view = make(3)
    box.remove(1)
    box.flag(2, 1)
    view.sync()
    assert make_news(view, frozenset({"QRESYNC"}), False) == b""
    assert make_news(view, frozenset({"QRESYNC"}), True).startswith(b"* VANISHED 1\r\n* 1 FETCH (UID 2")


def test_new_keywords_are_named_first() -> None:
    box, view = make(1)
    box.keyword_table = lambda: Table(0, [(256, "$Forwarded")])
    box.flag(1, 257)
    view.sync()
    first, second, third = make_news(view, frozenset(), False).decode().splitlines()
    assert first == "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)"
    assert second.endswith(" $Forwarded \\*)] limited")
    assert third == "* 1 FETCH (UID 1 FLAGS (\\Seen $Forwarded))"


def test_flag_lines_of_a_read_only_view() -> None:
    _, view = make(0)
    view.read_only = True
    assert b"[PERMANENTFLAGS ()]" in make_flag_lines(view)
