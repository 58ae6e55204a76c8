"""The HTTP client: what it sends, what it takes for a response, and its bounds."""

import pytest

from mailsrv.system.bounded import TimeLimit, open_tcp
from mailsrv.system.clock import SystemClock
from mailsrv.system.fetch import HttpFailed, HttpRequest, fetch
from mailsrv.system.net import Lost, TimedOut

from tests.fakes.clock import FakeClock
from tests.fakes.rspamd import FakeRspamd

LIMIT = 1000


def ask(server, request=None, limit=None):
    with open_tcp("127.0.0.1", server.port, limit or TimeLimit(FakeClock(), 10)) as connection:
        return fetch(connection, request or HttpRequest("POST", "h", "/"), LIMIT)


def saying(octets):
    return lambda server, connection: connection.sendall(octets)


def test_a_request_and_its_response():
    request = HttpRequest(
        "POST", "host:1", "/checkv2?x", (("A", "b"), ("A", "gr\u00fcezi\udc80")), iter([b"x" * 70_000, b"yz"]), 70_002
    )
    with FakeRspamd(b"answer") as server:
        response = ask(server, request)
        asked = server.requests[0]
    assert (response.status, response.reason, response.body) == (200, "OK", b"answer")
    assert response.fields == {"content-length": "6"}
    assert asked.line == "POST /checkv2?x HTTP/1.1"
    assert asked.fields == {
        "host": ["host:1"], "a": ["b", "gr\u00fcezi?"], "connection": ["close"], "content-length": ["70002"],
    }  # fmt: skip
    assert asked.body == b"x" * 70_000 + b"yz"


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\0b", "a\x7fb"])
def test_a_value_cannot_become_another_field(value):
    with FakeRspamd(b"") as server, pytest.raises(HttpFailed, match="cannot be asked"):
        ask(server, HttpRequest("GET", "h", "/", (("A", value),)))


HEAD = b"HTTP/1.1 200 OK\r\n"
RESPONSES = {
    "until the end": (HEAD + b"\r\nabc", b"abc"),
    "exactly as large as allowed": (HEAD + b"\r\n" + b"a" * LIMIT, b"a" * LIMIT),
    "with a length": (HEAD + b"Content-Length: 3\r\n\r\nabcdef", b"abc"),
    "in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
    "behind another one": (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\na", b"a"),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize("row", RESPONSES)
def test_responses(row):
    octets, body = RESPONSES[row]
    with FakeRspamd(saying(octets)) as server:
        assert ask(server).body == body


FAULTS = {
    "nothing": (b"", Lost, "closed"),
    "not HTTP": (b"220 mx.example ESMTP\r\n", HttpFailed, "no HTTP"),
    "another HTTP": (b"HTTP/2.0 200 OK\r\n\r\n", HttpFailed, "no HTTP"),
    "ends in its head": (HEAD + b"Content-", HttpFailed, "ends early"),
    "ends in its body": (HEAD + b"Content-Length: 10\r\n\r\nabc", HttpFailed, "ends early"),
    "ends in a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc", HttpFailed, "no HTTP"),
    "chunk of no length": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n", HttpFailed, "no HTTP"),
    "chunk of negative length": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n", HttpFailed, "no HTTP"),
    "chunk of more negative length": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-9\r\nabc\r\n", HttpFailed, "no HTTP"),
    "huge chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n" + b"a" * 5000, HttpFailed, "large"),
    "chunks without end": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000, HttpFailed, "large",
    ),
    "announced too large": (HEAD + b"Content-Length: 1001\r\n\r\n", HttpFailed, "large"),
    "announced absurdly large": (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", HttpFailed, "large"),
    "too large": (HEAD + b"\r\n" + b"a" * 1001, HttpFailed, "large"),
    "much too large": (HEAD + b"\r\n" + b"a" * 10_000_000, HttpFailed, "large"),
    "a line without end": (HEAD + b"X: " + b"a" * 200_000, HttpFailed, "large|no HTTP"),
    "fields without end": (HEAD + b"X: y\r\n" * 30_000, HttpFailed, "large|no HTTP"),
    "interim responses without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000, HttpFailed, "large|no HTTP"),
}  # fmt: skip


@pytest.mark.parametrize("row", FAULTS)
def test_what_is_no_response(row):
    octets, error, text = FAULTS[row]
    with FakeRspamd(saying(octets)) as server, pytest.raises(error, match=text):
        ask(server)


def test_a_drip_ends_with_the_deadline():
    clock = FakeClock()
    given = []

    def drip(server, connection):
        connection.sendall(HEAD + b"Content-Length: 900\r\n\r\n")
        while True:
            clock.advance(1)
            given.append(connection.send(b"a"))
            connection.settimeout(10)
            if len(given) > 100:
                return

    with FakeRspamd(drip) as server, pytest.raises(TimedOut, match="within 10 s"):
        ask(server, limit=TimeLimit(clock, 10))


def test_silence_ends_with_the_deadline():
    with FakeRspamd(lambda server, connection: server.hold(connection)) as server, pytest.raises(TimedOut):
        ask(server, limit=TimeLimit(SystemClock(), 0.05))


class Closing:
    """A connection whose other side has closed: nothing more is taken, and this is what it said before."""

    def __init__(self, said):
        self.said = said

    def send(self, octets):
        raise Lost("the connection broke (broken pipe)")

    def receive(self, size):
        octets, self.said = self.said[:size], self.said[size:]
        if not octets:
            raise Lost("the connection was closed")
        return octets


REQUEST = HttpRequest("POST", "h", "/", (), (b"x",), 1)


def test_who_refuses_before_it_has_read_all_is_heard():
    assert fetch(Closing(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"), REQUEST, LIMIT).status == 413


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 4", b"what?"])
def test_who_closes_before_it_has_read_all_is_lost(said):
    with pytest.raises(Lost, match="broken pipe"):
        fetch(Closing(said), REQUEST, LIMIT)
