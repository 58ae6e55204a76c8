"""A content filter beside a real server: what it says reaches the client, the mailbox and the record; and mail without
its answer goes the stated way."""

import json
import smtplib

import pytest

from tests.fakes.dns import FakeDnsServer
from tests.fakes.milter import FakeMilter, add
from tests.fakes.rspamd import FakeRspamd
from tests.whole.running import DEADLINE

SETTINGS = """
[checks]
exempt = []

[dns]
nameservers = ["{nameserver}"]

[filter]
{filter}
"""


def send(server, subject):
    """(code, text) of the reply to the message."""
    with smtplib.SMTP("127.0.0.1", server.port, "client.example", DEADLINE) as talk:
        talk.ehlo()
        assert talk.mail("a@far.example")[0] == 250
        assert talk.rcpt("alice@example.test")[0] == 250
        code, text = talk.data(f"From: a@far.example\r\nSubject: {subject}\r\n\r\nhello\r\n".encode())
        return code, text.decode()


def rule(server, code, text):
    """What the record says of the filter for the message that was answered this last."""
    records = [json.loads(line) for line in (server.data / "decisions/current.jsonl").read_text().splitlines()]
    assert records[-1]["reply"].startswith(str(code)), (records[-1], text)
    (found,) = [one for one in records[-1]["rules"] if one["rule"] == "filter"]
    return found


@pytest.fixture
def filtered(make_server):
    """filtered(lines of [filter]) -> a running server that asks this filter about everybody's mail."""
    with FakeDnsServer("far.example A 127.0.0.1") as dns:

        def start(lines):
            server = make_server(more=SETTINGS.format(nameserver=dns.nameserver, filter=lines))
            server.start()
            return server

        yield start


def test_what_rspamd_says_is_done(filtered):
    with FakeRspamd({}) as rspamd:
        server = filtered(f'rspamd = "{rspamd.url}"')
        rspamd.answer = {"action": "no action", "score": 1.5, "milter": {"add_headers": {"X-Seen": "yes"}}}
        code, text = send(server, "good")
        assert code == 250
        (stored,) = server.messages()
        assert "\nX-Seen: yes\n" in stored.replace("\r\n", "\n")
        assert stored.index("X-Seen: ") < stored.index("Received: from") < stored.index("Subject: good")
        assert "score 1.50" in rule(server, code, text)["input"]

        rspamd.answer = {"action": "add header", "symbols": {"BAD": {"score": 9}}}
        code, text = send(server, "bad")
        assert code == 250
        server.wait_for_junk("bad")
        assert "BAD(9.00)" in rule(server, code, text)["input"]

        rspamd.answer = {"action": "reject", "messages": {"smtp_message": "worse"}}
        code, text = send(server, "worse")
        assert (code, text[:11]) == (550, "5.7.1 worse")
        rspamd.answer = {"action": "soft reject"}
        code, text = send(server, "later")
        assert (code, text[:6]) == (451, "4.7.1 ")
        assert len(server.messages()) == 1

    asked = rspamd.requests[0]
    assert asked.fields["from"] == ["<a@far.example>"]
    assert asked.fields["rcpt"] == ["<alice@example.test>"]
    assert asked.fields["ip"] == ["127.0.0.1"]
    assert b"\r\nAuthentication-Results: " in b"\r\n" + asked.body
    assert asked.body.endswith(b"\r\nSubject: good\r\n\r\nhello\r\n")


def test_what_a_milter_says_is_done(filtered):
    with FakeMilter({"E": [add("X-Seen", "yes"), b"c"]}) as milter:
        server = filtered(f'milter = "{milter.where}"')
        assert send(server, "good")[0] == 250
        assert "X-Seen: yes" in server.messages()[0]
        milter.answers["E"] = [b"y554 5.6.0 a virus\0"]
        code, text = send(server, "bad")
        assert (code, text[:13]) == (554, "5.6.0 a virus")


@pytest.mark.parametrize(("mode", "code"), [("accept", 250), ("defer", 451)])
def test_without_an_answer_the_configuration_decides(filtered, mode, code):
    with FakeRspamd(lambda server, connection: server.hold(connection)) as rspamd:
        server = filtered(f'rspamd = "{rspamd.url}"\non_failure = "{mode}"\ntimeout_seconds = 1')
        answers = [send(server, "silent")]
        assert "not done within 1 s" in rule(server, *answers[0])["result"]
        rspamd.answer = b"nonsense"
        answers.append(send(server, "nonsense"))
        assert "no JSON" in rule(server, *answers[1])["result"]
    answers.append(send(server, "gone"))
    assert "connection refused" in rule(server, *answers[2])["result"]
    assert [one for one, _ in answers] == [code] * 3
    assert len(server.messages()) == (3 if mode == "accept" else 0)
