"""The decision record: one per transaction, complete, ready for JSON."""

import json

from mailsrv.receive.decision import verdict_of
from mailsrv.mail.reply import Reply
from mailsrv.smtp.events import Kind
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_house

MESSAGE = b"Subject: x\r\n\r\nhi\r\n"


def test_an_accepted_transaction() -> None:
    house = make_house()
    dialogue = Dialogue(house)
    dialogue.hello()
    dialogue.say(
        "MAIL FROM:<a@far.example> SIZE=18 BODY=8BITMIME", "RCPT TO:<nobody@example.org>", "RCPT TO:<x@far.example>",
        "RCPT TO:<team@example.org>", "RCPT TO:<alice+tag@example.org>", "DATA",
    )  # fmt: skip
    dialogue.say(MESSAGE + b".")
    assert json.loads(json.dumps(house.decisions.written)) == [
        {
            "version": 1,
            "time": 1_700_000_000.0,
            "id": "SESSION0",
            "session": "SESSION",
            "kind": "smtp",
            "client": "192.0.2.7",
            "helo": "client.example",
            "tls": "",
            "account": "",
            "reverse_path": "a@far.example",
            "parameters": {"size": 18, "body": "8BITMIME"},
            "recipients": [
                {
                    "forward_path": "nobody@example.org", "rule": "unknown", "result": "reject",
                    "reply": "550 5.1.1 no such user",
                },
                {
                    "forward_path": "x@far.example", "rule": "not_local", "result": "reject",
                    "reply": "550 5.7.1 relaying denied",
                },
                {
                    "forward_path": "team@example.org", "rule": "alias", "accounts": ["alice", "bob"],
                    "result": "accept",
                },
                {
                    "forward_path": "alice+tag@example.org", "rule": "detail", "accounts": ["alice"],
                    "result": "accept",
                },
            ],
            "size": len(MESSAGE),
            "rules": [{"stage": "data", "rule": "received_fields", "input": 0, "result": "accept"}],
            "verdict": "accept",
            "reply": "250 2.0.0 accepted as SESSION0",
            "delivered": ["alice", "bob"],
            "queued": [],
        }
    ]  # fmt: skip


def test_every_transaction_leaves_exactly_one_record() -> None:
    house = make_house()
    dialogue = Dialogue(house)
    dialogue.hello()
    dialogue.say("MAIL FROM:<> SIZE=99999999")  # refused by the core: no transaction
    dialogue.say("MAIL FROM:<>", "RCPT TO:<nobody@example.org>", "RSET")
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "EHLO again.example")
    dialogue.send(MESSAGE)
    dialogue.say("MAIL FROM:<>", "QUIT")
    dialogue.talk.close("quit")
    assert [(record["id"], record["verdict"]) for record in house.decisions.written] == [
        ("SESSION0", "abandoned"),
        ("SESSION1", "abandoned"),
        ("SESSION2", "accept"),
        ("SESSION3", "abandoned"),
    ]


def test_a_lost_connection_abandons() -> None:
    house = make_house()
    dialogue = Dialogue(house, Kind.LMTP)
    dialogue.hello()
    dialogue.say("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA", "half a mess")
    dialogue.talk.close("gone")
    assert [record["verdict"] for record in house.decisions.written] == ["abandoned"]


def test_verdicts() -> None:
    assert [verdict_of(Reply(code, "", "")) for code in (250, 354, 452, 550)] == ["accept", "accept", "defer", "reject"]
