"""rspamd's protocol: what it is asked, what each answer becomes, and that no answer of any kind gets further."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.config.schema import FilterConfig
from mailsrv.receive import rspamd as door
from mailsrv.receive.filter import FIELDS_LIMIT, MAX_FIELDS, MAX_SYMBOLS, Action, FilterFailed, Scan
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.system.clock import SystemClock
from mailsrv.system.fetch import HttpResponse

from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.rspamd import FakeRspamd, respond
from tests.mailsrv.receive.filter_message import MESSAGE, PREFIX, new_message

HAM = {"action": "no action"}


def scan(server, message=None, clock=None, **config):
    made = make_filter(FilterConfig(**{"rspamd": server.url, **config}), clock or FakeClock())
    return made.scan(message or new_message())


def answered(answer):
    with FakeRspamd(answer) as server:
        finding = scan(server)
    assert finding.scan is Scan.DONE
    return finding


def test_what_it_is_asked():
    with FakeRspamd(HAM) as server:
        scan(server, password="secret")
        asked = server.requests[0]
        authority = f"127.0.0.1:{server.port}"
    assert asked.line == "POST /checkv2 HTTP/1.1"
    assert asked.body == PREFIX + MESSAGE
    assert asked.fields == {
        "host": [authority],
        "user-agent": ["mailsrv"],
        "queue-id": ["4xyz"],
        "mta-name": ["here.example"],
        "ip": ["192.0.2.1"],
        "hostname": ["mx.example"],
        "helo": ["helo.example"],
        "from": ["<from@example.org>"],
        "rcpt": ["<a@here.example>", "<b@here.example>"],
        "password": ["secret"],
        "connection": ["close"],
        "content-length": [str(len(PREFIX + MESSAGE))],
    }


def test_what_it_is_asked_of_another_message():
    message = new_message(
        b"Subject: long\r\n\r\n" + b"0123456789abcdef\r\n" * 100_000,  # in a file by then
        client="local", client_name="", helo="evil\r\nIP: 127.0.0.1", account="alice", reverse_path="",
        recipients=("gr\u00fcezi@here.example",), tls="TLS1.3 TLS_AES_256_GCM_SHA384",
    )  # fmt: skip
    with FakeRspamd(HAM) as server:
        scan(server, message)
        asked = server.requests[0]
    assert asked.body == b"".join(message.octets.blocks())
    assert not {"ip", "hostname", "password"} & set(asked.fields)
    assert asked.fields["from"] == ["<>"]
    assert asked.fields["rcpt"] == ["<gr\u00fcezi@here.example>"]
    assert asked.fields["helo"] == ["evil??IP: 127.0.0.1"]
    assert asked.fields["user"] == ["alice"]
    assert asked.fields["tls-version"] == ["TLSv1.3"]
    assert asked.fields["tls-cipher"] == ["TLS_AES_256_GCM_SHA384"]


def test_more_recipients_than_there_is_room_for():
    recipients = tuple(f"{number:040}@here.example" for number in range(1000))
    with FakeRspamd(HAM) as server:
        scan(server, new_message(recipients=recipients))
        told = server.requests[0].fields["rcpt"]
    assert 400 < len(told) < 1000
    assert told == [f"<{one}>" for one in recipients[: len(told)]]


def test_an_url_with_a_name_and_a_path():
    with FakeRspamd(HAM) as server:
        config = FilterConfig(rspamd=f"http://filter.example:{server.port}/a/")
        resolver = FakeResolver("filter.example. A 127.0.0.1")
        assert make_filter(config, FakeClock(), resolver).scan(new_message()).action is Action.ACCEPT
        assert server.requests[0].line == "POST /a/checkv2 HTTP/1.1"
        assert server.requests[0].fields["host"] == [f"filter.example:{server.port}"]


# action -> ours, the reply to the client
ACTIONS = {
    "no action": (Action.ACCEPT, ""),
    "greylist": (Action.ACCEPT, ""),
    "soft reject": (Action.DEFER, f"451 4.7.1 {door.LATER}"),
    "add header": (Action.JUNK, ""),
    "rewrite subject": (Action.JUNK, ""),
    "quarantine": (Action.JUNK, ""),
    "discard": (Action.JUNK, ""),
    "reject": (Action.REJECT, f"550 5.7.1 {door.SPAM}"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_actions(action):
    finding = answered({"action": action})
    assert (finding.action, str(finding.reply or "")) == ACTIONS[action]
    assert finding.reason == (finding.reply.text if finding.reply else action)
    assert finding.ignored == ()


def test_actions_that_only_the_operator_knows_accept():
    finding = answered({"action": "phishing"})
    assert (finding.action, finding.ignored) == (Action.ACCEPT, ("action phishing",))


@pytest.mark.parametrize(
    ("action", "said", "text"),
    [
        ("reject", "Gtube pattern", "550 5.7.1 Gtube pattern"),
        ("soft reject", "Try again\r\nlater\0", "451 4.7.1 Try again later?"),
        ("reject", "", f"550 5.7.1 {door.SPAM}"),
    ],
)
def test_its_own_words(action, said, text):
    assert str(answered({"action": action, "messages": {"smtp_message": said}}).reply) == text


@pytest.mark.parametrize(
    ("action", "milter", "ours"),
    [
        ("reject", {"reject": "discard"}, Action.JUNK),
        ("reject", {"reject": "quarantine"}, Action.JUNK),
        ("reject", {"reject": "other"}, Action.REJECT),
        ("reject", {"no_action": True}, Action.ACCEPT),
    ],
)
def test_words_beside_the_action(action, milter, ours):
    finding = answered({"action": action, "milter": milter})
    assert finding.action is ours
    assert finding.fields == (b"X-Rspamd-Action: reject\r\n" if "no_action" in milter else b"")


def test_scores_and_symbols():
    symbols = {
        "SMALL": {"name": "SMALL", "score": -0.1},
        "GTUBE": {"score": 15},
        "ZERO": {},
        "ODD\r\nX: y": {"score": 1},
    }
    finding = answered({"action": "add header", "score": 15.9, "required_score": 15, "symbols": symbols})
    assert (finding.score, finding.required) == (15.9, 15.0)
    assert finding.symbols == ("GTUBE(15.00)", "ODD X: y(1.00)", "SMALL(-0.10)", "ZERO(0.00)")


def test_symbols_are_bounded():
    symbols = {f"S{number}" * 100: {"score": number} for number in range(1000)}
    finding = answered({"action": "no action", "symbols": symbols})
    assert len(finding.symbols) == MAX_SYMBOLS
    assert finding.symbols[0].endswith("(999.00)")
    assert max(map(len, finding.symbols)) <= 100


def test_fields_on_top():
    added = {
        "X-Last": "text",
        "X-Second": {"value": "two\r\nBcc: x", "order": 1},
        "X-First": [{"value": "a", "order": 0}, {"value": "b", "order": 0}],
        "X-End": {"value": "end", "order": -1},
        "From": "somebody@else.example",
        "X Bad": "x",
    }
    finding = answered({"action": "add header", "milter": {"add_headers": added, "remove_headers": {"X-Spam": 0}}})
    assert finding.fields == (
        b"X-First: a\r\nX-First: b\r\nX-Second: two\r\n\tBcc: x\r\nX-Last: text\r\nX-End: end\r\n"
    )
    assert finding.ignored == ("field From", "field X Bad", "remove_headers")


def test_what_would_change_the_message_is_not_done():
    milter = {"change_from": "x@y.example", "add_rcpt": ["x@y.example"], "del_rcpt": ["a@here.example"]}
    finding = answered({"action": "rewrite subject", "subject": "[SPAM] hi", "milter": milter})
    assert (finding.action, finding.fields) == (Action.JUNK, b"")
    assert finding.ignored == ("change_from", "add_rcpt", "del_rcpt", "subject")


def test_fields_are_bounded():
    added = {"X-Many": ["a" * 900] * 1000}
    finding = answered({"action": "no action", "milter": {"add_headers": added}})
    assert finding.fields.count(b"X-Many") == MAX_FIELDS
    assert len(finding.fields) <= FIELDS_LIMIT


def say(octets):
    return lambda server, connection: connection.sendall(octets)


# what happens -> what the finding says
FAILURES = {
    "hangs": (lambda server, connection: server.hold(connection), "not done within"),
    "closes": (lambda server, connection: None, "the connection was closed"),
    "garbage": (say(b"220 what?\r\n"), "no HTTP"),
    "status 500": (say(respond(b"", "500 Oh no")), "it answered 500 Oh no"),
    "status 403 with a word": (say(respond(b'{"error": "a\\r\\nb"}', "403 Forbidden")), "403 a b"),
    "no JSON": (say(respond(b"action: reject")), "no JSON"),
    "JSON that is cut": (say(respond(b'{"action": "reject"')), "no JSON"),
    "JSON that ends early": (say(respond(b'{"action": "reject"}', length=100)), "ends early"),
    "JSON of a list": (say(respond(b"[1]")), "no JSON object"),
    "deep JSON": (say(respond(b"[" * 500_000)), "no JSON"),
    "a huge number": (say(respond(b'{"action": "reject", "score": 1' + b"0" * 5000 + b"}")), "no "),
    "a score of infinity": (say(respond(b'{"action": "reject", "score": 1e999}')), "score"),
    "not a number": (say(respond(b'{"action": "reject", "score": NaN}')), "score"),
    "a truth for a score": (say(respond(b'{"action": "reject", "score": true}')), "score"),
    "no action": (say(respond(b'{"score": 1}')), "names no action"),
    "an action of another kind": (say(respond(b'{"action": ["reject"]}')), "action"),
    "symbols of another kind": (say(respond(b'{"action": "reject", "symbols": ["a"]}')), "symbols"),
    "fields of another kind": (say(respond(b'{"action": "x", "milter": {"add_headers": "a"}}')), "add_headers"),
    "a field of another kind": (say(respond(b'{"action": "x", "milter": {"add_headers": {"A": 1}}}')), "field A"),
    "10 MB": (say(respond(b'{"action": "reject", "x": "' + b"a" * 10_000_000 + b'"}')), "too large"),
    "10 MB in chunks": (
        say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"a" * 65535 + b"\r\n" * 160),
        "no HTTP",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["accept", "defer"])
@pytest.mark.parametrize("row", FAILURES)
def test_failures(row, mode):
    behaviour, text = FAILURES[row]
    hangs = row == "hangs"
    with FakeRspamd(behaviour) as server:
        clock, seconds = (SystemClock(), 0.05) if hangs else (FakeClock(), 30)
        finding = scan(server, clock=clock, timeout_seconds=seconds, on_failure=mode)
    assert (finding.action, finding.scan) == (Action(mode), Scan.FAILED)
    assert finding.reason.startswith("rspamd: ")
    assert text in finding.reason
    assert finding.fields == b""
    assert (finding.reply.code if finding.reply else 0) == (451 if mode == "defer" else 0)


def test_a_drip_ends_with_the_deadline():
    clock = FakeClock()

    def drip(server, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for octet in b'{"action": "no actio':
            clock.advance(2)
            connection.sendall(bytes([octet]))

    with FakeRspamd(drip) as server:
        finding = scan(server, clock=clock, timeout_seconds=30)
    assert finding.scan is Scan.FAILED
    assert "not done within 30 s" in finding.reason


def test_nobody_there():
    with FakeRspamd(HAM) as server:
        server.close()
        finding = scan(server)
    assert finding.scan is Scan.FAILED
    assert "connection refused" in finding.reason


def test_an_answer_in_chunks():
    body = json.dumps({"action": "reject"}).encode()
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:], b""))
    with FakeRspamd(say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)) as server:
        assert scan(server).action is Action.REJECT


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = ["action", "score", "symbols", "milter", "add_headers", "value", "order", "messages", "smtp_message"]
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
JSON = st.recursive(
    LEAVES | st.sampled_from(list(ACTIONS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(KEYS, JSON, max_size=6) | JSON)
def test_any_json_gives_a_finding_or_fails(answer):
    try:
        finding = door.read_response(HttpResponse(200, "OK", {}, json.dumps(answer).encode()), "here.example")
    except FilterFailed:
        return
    assert (finding.reply is not None) == (finding.action in (Action.DEFER, Action.REJECT))
    for line in finding.fields.split(b"\r\n"):
        assert line.isascii() and len(line) <= 998 and not set(line) & set(b"\r\n\0")
    assert b"\r\n\r\n" not in b"\r\n" + finding.fields
