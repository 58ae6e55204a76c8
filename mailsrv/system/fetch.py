"""The HTTP client door: one request and its response over a connection with a deadline (RFC 9112).

Nothing is followed, kept open, uncompressed or tried again. The response is bounded in all its parts; Content-Length
and chunks (RFC 9112 section 7.1) are understood, and a body that ends early is no body.

Diagnostics: HttpFailed when the response is none, or too large, or ends early; TimedOut and Lost from the connection.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

from mailsrv.errors import MailsrvError
from mailsrv.system.bounded import BoundedConnection
from mailsrv.system.net import Lost

_HEAD_LIMIT = 65_536  # octets of status line, fields and the framing of chunks
_TOO_LARGE = "the response is too large"
_ENDS_EARLY = "the response ends early"


class HttpFailed(MailsrvError):
    """There is no response that can be used. The text is a clause that says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked. `host` is for the field of this name; `fields` are further ones; `body` has `size` octets."""

    method: str
    host: str
    target: str
    fields: tuple[tuple[str, str], ...] = ()
    body: Iterable[bytes] = field(default=())
    size: int = 0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What was answered; names of `fields` in lower case."""

    status: int
    reason: str
    fields: Mapping[str, str]
    body: bytes


def fetch(connection: BoundedConnection, request: HttpRequest, limit: int) -> HttpResponse:
    """Send a request and read its response, whose body may have `limit` octets. The connection is of no use then."""
    head = _head(request)
    lost: Lost | None = None
    try:
        # A short body goes out with the head in one packet.
        pending = head
        for block in request.body:
            connection.send(pending + block if pending else block)
            pending = b""
        if pending:
            connection.send(pending)
    except Lost as error:
        # Who refuses a request may say so and close before it has read all: its word is better than our clause.
        lost = error
    try:
        return _read(connection, limit)
    except (HttpFailed, Lost):
        if lost is not None:
            raise lost from None
        raise


def _head(request: HttpRequest) -> bytes:
    fields = [("Host", request.host), *request.fields, ("Connection", "close")]
    if request.size or request.method not in ("GET", "HEAD"):
        fields.append(("Content-Length", str(request.size)))
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    for line in lines:
        if any(ord(character) < 32 or ord(character) == 127 for character in line):
            raise HttpFailed(f"this cannot be asked: {line!r}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "replace")


def _read(connection: BoundedConnection, limit: int) -> HttpResponse:
    raw = _Raw(connection, limit + _HEAD_LIMIT)
    # It asks of a socket only what it can be read from.
    response = HTTPResponse(cast(Any, raw))
    try:
        response.begin()
        if raw.ended:
            raise HttpFailed(_ENDS_EARLY)  # within its head
        if response.length is not None and response.length > limit:
            raise HttpFailed(_TOO_LARGE)
        announced = response.length
        body = response.read(limit + 1)
    except (HTTPException, ValueError) as error:
        # A Content-Length or chunk that is no number is a ValueError.
        raise HttpFailed(f"the response is no HTTP ({type(error).__name__})") from None
    finally:
        response.close()
    if len(body) > limit:
        raise HttpFailed(_TOO_LARGE)
    if announced is not None and len(body) < announced:
        raise HttpFailed(_ENDS_EARLY)
    fields = {name.lower(): value for name, value in response.getheaders()}
    return HttpResponse(response.status, response.reason, fields, body)


class _Raw(io.RawIOBase):
    """The connection as a file that is read, of at most `limit` octets; `ended` once its end was seen."""

    def __init__(self, connection: BoundedConnection, limit: int) -> None:
        super().__init__()
        self._connection = connection
        self._limit = self._left = limit
        self.ended = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What HTTPResponse asks a socket for."""
        return io.BufferedReader(self, 65536)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there next, 0 octets at the end. Raises Lost when the end is all there is."""
        try:
            octets = self._connection.receive(len(buffer))
        except Lost:
            if self._left == self._limit:
                raise
            self.ended = True
            return 0
        self._left -= len(octets)
        if self._left < 0:
            raise HttpFailed(_TOO_LARGE)
        buffer[: len(octets)] = octets
        return len(octets)
