"""The table of commands: its rows, and how a command is judged before its argument is read."""

import pytest

from mailsrv.smtp import replies
from mailsrv.smtp.commands import COMMANDS, HTTP_VERBS, Chunk, Situation, State, judge
from mailsrv.smtp.events import Auth, Hello, Kind, Limits, Mail, Offer, Rcpt
from mailsrv.smtp.replies import Refusal

SMTP_VERBS = {
    "EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP", "STARTTLS", "AUTH",
}  # fmt: skip


def situation(kind: Kind = Kind.SMTP, state: State = State.READY, **more: object) -> Situation:
    values = {"limits": Limits(), "offer": Offer(), "tls": False, "hello": "EHLO", **more}
    return Situation(kind, state=state, **values)


def test_each_kind_has_its_verbs() -> None:
    for kind in Kind:
        expected = SMTP_VERBS - {"EHLO", "HELO"} | {"LHLO"} if kind is Kind.LMTP else SMTP_VERBS
        assert set(COMMANDS[kind]) == expected
        assert not HTTP_VERBS & set(COMMANDS[kind])
        assert all(verb == row.verb and kind in row.kinds for verb, row in COMMANDS[kind].items())


def test_facts_of_the_rows() -> None:
    rows = COMMANDS[Kind.SMTP]
    # RFC 2920 section 3.1 (5321 for STARTTLS and AUTH): these end a group.
    assert {verb for verb, row in rows.items() if row.ends_group} == {
        "EHLO", "HELO", "DATA", "NOOP", "QUIT", "VRFY", "EXPN", "STARTTLS", "AUTH",
    }  # fmt: skip
    assert {verb for verb, row in rows.items() if row.extension} == {"BDAT", "STARTTLS", "AUTH"}
    assert {verb for verb, row in rows.items() if row.needs_authentication} == {"MAIL"}
    assert {verb for verb, row in rows.items() if not row.before_tls} == {"MAIL", "VRFY", "EXPN"}
    assert {verb for verb, row in rows.items() if row.octets_follow} == {"BDAT"}
    assert all(row.misplaced for row in rows.values() if row.states != frozenset(State) - {State.GREETING})


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", sorted(SMTP_VERBS))
def test_every_command_in_every_state(verb: str, state: State) -> None:
    row = COMMANDS[Kind.SMTP][verb]
    refusal = judge(row, situation(state=state))
    if state in row.states:
        assert refusal is None
    else:
        assert refusal is not None
        assert (refusal.code, refusal.enhanced) == (503, "5.5.1")


def test_authentication_is_wanted_on_submission_only() -> None:
    mail = COMMANDS[Kind.SUBMISSION]["MAIL"]
    assert judge(mail, situation(Kind.SUBMISSIONS, tls=True)) == replies.AUTH_REQUIRED
    assert judge(mail, situation(Kind.SUBMISSIONS, tls=True, authenticated=True)) is None
    assert judge(mail, situation(Kind.SUBMISSION, offer=Offer(starttls=True))) == replies.TLS_REQUIRED
    assert judge(mail, situation(Kind.SUBMISSION, offer=Offer(True, ("PLAIN",)))) == replies.AUTH_REQUIRED
    assert judge(mail, situation(Kind.SMTP, offer=Offer(starttls=True))) is None
    assert judge(mail, situation(Kind.LMTP)) is None


def test_readers() -> None:
    rows = COMMANDS[Kind.SMTP]
    assert rows["EHLO"].read("a.example", situation()) == Hello("EHLO", "a.example")
    assert rows["BDAT"].read("7  last", situation()) == Chunk(7, True)
    assert rows["BDAT"].read("7", situation()) == Chunk(7, False)
    assert isinstance(rows["MAIL"].read("FROM:<a@b.example>", situation()), Mail)
    assert isinstance(rows["RCPT"].read("TO:<a@b.example>", situation()), Rcpt)
    offer = Offer(mechanisms=("PLAIN",))
    assert rows["AUTH"].read("plain", situation(offer=offer)) == Auth("PLAIN", None)
    assert rows["AUTH"].read("plain =", situation(offer=offer)) == Auth("PLAIN", b"")
    assert rows["EXPN"].read("x", situation()) == replies.NO_EXPN


@pytest.mark.parametrize("argument", ["", "x", "-1", "1.0", "+1", "0x10", "\u0661", "1" * 21, "LAST", "1LAST"])
def test_a_chunk_needs_its_size(argument: str) -> None:
    with pytest.raises(Refusal):
        COMMANDS[Kind.SMTP]["BDAT"].read(argument, situation(state=State.RCPT))


def test_beginning_anew_forgets_the_transaction() -> None:
    present = situation(state=State.RCPT, smtputf8=True, recipients=3, tried=4, authenticated=True)
    present.begin(State.READY)
    assert (present.state, present.smtputf8, present.recipients, present.tried) == (State.READY, False, 0, 0)
    assert present.authenticated
