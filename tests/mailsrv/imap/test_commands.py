"""The table of commands is whole and consistent."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal
from mailsrv.imap.commands import COMMANDS, Row, judge
from mailsrv.imap.situation import Limits, Offer, Situation, State
from mailsrv.imap.tokens import Cursor
from tests.mailsrv.imap.parsing import make_situation

ROWS = list(COMMANDS.values())

# RFC 9051 section 6, RFC 3501's CHECK and LSUB, and the commands of the extensions of issue 5.
EXPECTED = """CAPABILITY NOOP LOGOUT STARTTLS AUTHENTICATE LOGIN ENABLE SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE
UNSUBSCRIBE LIST LSUB NAMESPACE STATUS APPEND IDLE CHECK CLOSE UNSELECT EXPUNGE SEARCH FETCH STORE COPY MOVE SORT THREAD
REPLACE ESEARCH ID COMPRESS UNAUTHENTICATE NOTIFY GETMETADATA SETMETADATA GETACL SETACL DELETEACL LISTRIGHTS MYRIGHTS
GETQUOTA GETQUOTAROOT SETQUOTA""".split()


def test_every_command_is_there() -> None:
    names = {row.name for row in ROWS}
    uid = {f"UID {name}" for name in "SEARCH FETCH STORE COPY MOVE SORT THREAD REPLACE EXPUNGE".split()}
    assert names == {*EXPECTED, *uid}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_are_consistent(row: Row) -> None:
    assert COMMANDS[row.name.encode()] is row
    assert row.states
    assert State.GREETING not in row.states
    assert State.LOGOUT not in row.states
    if row.uses_numbers:
        assert row.states == {State.SELECTED}
        assert COMMANDS[b"UID " + row.name.encode()].may_renumber
    if row.name in ("FETCH", "STORE", "SEARCH"):
        assert not row.may_renumber, "RFC 9051 section 7.5.1"
    if row.changes_mailbox:
        assert row.states == {State.SELECTED}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize(
    "arguments", [b"", b" ", b" (", b" ((((", b" \xff", b' "', b" {5}", b" {5}\r\nab", b" \0", b" 1 1 1 1"]
)
def test_garbage_is_a_grammar_error_or_read(row: Row, arguments: bytes) -> None:
    try:
        row.read(Cursor(arguments), make_situation("UTF8=ACCEPT"))
    except (GrammarError, Refusal):
        pass


@pytest.mark.parametrize(
    ("name", "state", "complaint"),
    [
        ("NOOP", State.NOT_AUTHENTICATED, None),
        ("NOOP", State.SELECTED, None),
        ("SELECT", State.NOT_AUTHENTICATED, "log in first"),
        ("FETCH", State.NOT_AUTHENTICATED, "log in first"),
        ("FETCH", State.AUTHENTICATED, "select a mailbox first"),
        ("FETCH", State.SELECTED, None),
        ("LOGIN", State.SELECTED, "you are logged in already"),
        ("STARTTLS", State.AUTHENTICATED, "you are logged in already"),
        ("ENABLE", State.NOT_AUTHENTICATED, "log in first"),
    ],
)
def test_states(name: str, state: State, complaint: str | None) -> None:
    situation = Situation(Limits(), Offer(), state=state)
    judged = judge(COMMANDS[name.encode()], situation)
    assert (judged and judged[0]) == complaint


def test_uid_only() -> None:
    situation = make_situation("UIDONLY")
    for row in ROWS:
        judged = judge(row, situation)
        if State.SELECTED in row.states:
            assert (judged is not None and judged[1] == "UIDREQUIRED") == row.uses_numbers, row.name
