import pytest

from mailsrv.serve import sessions
from mailsrv.serve.sessions import Session, SessionTable


@pytest.fixture
def table():
    return SessionTable(memoryview(bytearray(sessions.OCTETS)))


def test_a_session_is_shown_from_enter_to_leave(table):
    handle = table.enter("abc", "submission", "2001:db8:1234:5678:9abc:def0:1234:5678", 1000.5)
    assert list(table.read()) == [
        Session("abc", "submission", "2001:db8:1234:5678:9abc:def0:1234:5678", "", 1000.5)
    ]
    handle.account("alice")
    assert [session.account for session in table.read()] == ["alice"]
    handle.leave()
    handle.leave()
    handle.account("nobody")
    assert list(table.read()) == []


def test_rows_are_used_again_and_show_nothing_of_their_last_session(table):
    for number in range(10):
        handle = table.enter(f"id{number}", "smtp", "192.0.2.1", number)
        handle.account("someone")
        handle.leave()
    table.enter("new", "smtp", "192.0.2.2", 1)
    assert [(session.id, session.account) for session in table.read()] == [("new", "")]
    assert table.used_octets() < 200


def test_the_sessions_of_an_account_are_counted(table):
    handles = [table.enter(f"id{number}", "imap", "192.0.2.1", number) for number in range(5)]
    for handle, account in zip(handles, ("bob", "alice", "jimbob", "bob", "bobby"), strict=True):
        handle.account(account)
    assert [table.count(name) for name in ("bob", "alice", "jimbob", "bobby", "nobody")] == [2, 1, 1, 1, 0]
    handles[0].leave()
    assert table.count("bob") == 1
    handles[3].account("")
    assert table.count("bob") == 0


def test_texts_that_are_too_long_are_cut(table):
    table.enter("i" * 100, "k" * 100, "c" * 100, 1).account("a" * 100)
    [session] = table.read()
    assert (len(session.id), len(session.kind), len(session.client), len(session.account)) == (14, 16, 48, 64)


def test_more_sessions_than_rows_are_served_and_not_shown(table):
    handles = [table.enter(str(number), "smtp", "192.0.2.1", 1) for number in range(sessions.ROWS + 2)]
    assert len(list(table.read())) == sessions.ROWS
    for handle in handles:
        handle.account("alice")
        handle.leave()
    assert list(table.read()) == []
