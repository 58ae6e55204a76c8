"""An rspamd on loopback that answers what a test says, and records what it was asked.

    with FakeRspamd({"action": "no action"}) as rspamd:
        ... scan with FilterConfig(rspamd=rspamd.url) ...
        rspamd.requests[0].fields["queue-id"]

The answer is a value (JSON of it), octets (the body), or a function that gets the server and the connection and says it
itself.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

from tests.fakes.service import FakeService, Gone, read_exactly


@dataclass
class Request:
    line: str
    fields: dict  # lower-case name -> list of values
    body: bytes


class FakeRspamd(FakeService):
    def __init__(self, answer, status="200 OK"):
        self.answer = answer
        self.status = status
        self.requests = []
        super().__init__()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                raise Gone
            head += more
        head, _, body = head.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        fields = defaultdict(list)
        for one in lines:
            name, _, value = one.partition(": ")
            fields[name.lower()].append(value)
        body += read_exactly(connection, int(fields["content-length"][0]) - len(body))
        self.requests.append(Request(line, fields, body))
        if callable(self.answer):
            self.answer(self, connection)
        else:
            body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
            connection.sendall(respond(body, self.status))


def respond(body, status="200 OK", length=None):
    """A whole response; `length` is what it says of its body."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body
