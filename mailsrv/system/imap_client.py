"""The door of imaplib: an IMAP connection to another server, from which messages are read and nothing is changed.

The standard library's client has the protocol; here are only its bounds and the few commands of an import: LIST,
EXAMINE, FETCH. No message is ever marked, moved or removed there. What a server may make us keep is bounded for each
command. RFC 3501 is what every server speaks; RFC 6154 and 5258 where it says so.

Diagnostics: ImapLost when there is no connection (any more), or the server says what is no IMAP; ImapRefused when it
says NO or BAD. The texts are clauses. No OSError and no error of imaplib leaves.
"""

import imaplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mailsrv.errors import MailsrvError
from mailsrv.system.tls import client_context

PORTS = {"tls": 993, "starttls": 143, "plain": 143}

_MAX_ANSWER = 64 << 20  # octets of what one command makes the server say
_FETCH_ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE)"
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]*)"')
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,18})\b")
_MESSAGES = re.compile(rb"\(MESSAGES (\d{1,10})\)")
_VALIDITY = re.compile(rb"\d{1,10}")
_LIST = re.compile(rb'\(([^()]*)\) (NIL|"\\?.") (.*)', re.DOTALL)
_NAMESPACE = re.compile(rb'\("((?:[^"\\]|\\.)*)" (?:NIL|"\\?(.)")')
_QUOTED = re.compile(rb'BODY\[\](?:<\d+>)? "((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(.)")


class ImapLost(MailsrvError):
    """No connection, or it broke, or the server makes no sense."""


class ImapRefused(MailsrvError):
    """The server does not do that."""


class Security(Enum):
    """How the connection is kept secret."""

    TLS = "tls"
    STARTTLS = "starttls"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox of a LIST: its attributes in lower case, the octet between levels (empty: none), its name's octets."""

    attributes: frozenset[str]
    delimiter: bytes
    name: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A message: its flags by name, its INTERNALDATE as it was sent, and RFC822.SIZE (0: not told)."""

    uid: int
    flags: frozenset[str]
    date: bytes
    size: int


class _Bounds:
    """How much one command may still make us keep; imaplib itself has a bound for lines only."""

    left = _MAX_ANSWER

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise imaplib.IMAP4.abort(f"it sends more than {_MAX_ANSWER} octets at once")
        octets: bytes = super().read(size)  # type: ignore[misc]
        return octets

    def readline(self) -> bytes:
        octets: bytes = super().readline()  # type: ignore[misc]
        self.left -= len(octets)
        if self.left < 0:
            raise imaplib.IMAP4.abort(f"it sends more than {_MAX_ANSWER} octets at once")
        return octets


class _Plain(_Bounds, imaplib.IMAP4):
    pass


class _Secure(_Bounds, imaplib.IMAP4_SSL):
    def _create_socket(self, timeout: float | None) -> Any:
        # imaplib would forget the socket when the handshake fails.
        connected = imaplib.IMAP4._create_socket(self, timeout)  # type: ignore[attr-defined]
        try:
            return self.ssl_context.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise


class ImapClient:
    """One connection, used by one thread. `seconds` is how long an answer may take to go on."""

    def __init__(self, host: str, port: int, security: Security, verify: bool, seconds: float) -> None:
        self.host = host
        with _speaking():
            if security is Security.TLS:
                context = client_context(verify)
                self._imap: Any = _Secure(host, port, ssl_context=context, timeout=seconds)
            else:
                self._imap = _Plain(host, port, timeout=seconds)
            if security is Security.STARTTLS:
                try:
                    self._imap.starttls(client_context(verify))
                except BaseException:
                    self._imap.shutdown()
                    raise

    def login(self, account: str, password: str) -> None:
        """Log in, by AUTHENTICATE PLAIN where the server has it, as passwords may have any characters then."""
        with _speaking():
            if "AUTH=PLAIN" in self._imap.capabilities:
                initial = f"\0{account}\0{password}".encode()
                self._imap.authenticate("PLAIN", lambda _: initial)
            elif not f"{account}{password}".isascii():
                raise ImapRefused("cannot be told a password that is not ASCII")
            else:
                self._imap.login(account, password)
            # What may be done now need not be what was said in the greeting.
            self._imap._get_capabilities()

    def namespaces(self) -> list[list[tuple[bytes, bytes]]]:
        """Prefix and delimiter of one's own mailboxes, of those of others, and of shared ones (RFC 2342); or []."""
        if "NAMESPACE" not in self._imap.capabilities:
            return []
        data = self._do(lambda imap: imap.namespace())
        return [
            [(_unescape(prefix), delimiter) for prefix, delimiter in _NAMESPACE.findall(part)]
            for part in _split_namespaces(data[0] if data and isinstance(data[0], bytes) else b"")
        ]

    def list_mailboxes(self) -> list[Listed]:
        """Every mailbox, with its special use where the server tells."""
        capabilities = self._imap.capabilities
        options = [word for word in ("SPECIAL-USE", "SUBSCRIBED") if word in capabilities or word == "SUBSCRIBED"]
        more = f" RETURN ({' '.join(options)})" if "LIST-EXTENDED" in capabilities else ""
        listed = _read_list(self._do(lambda imap: imap.list('""', f'"*"{more}')))
        if more:
            return listed
        subscribed = {one.name for one in _read_list(self._do(lambda imap: imap.lsub('""', '"*"')))}
        return [
            Listed(one.attributes | {"\\subscribed"}, one.delimiter, one.name) if one.name in subscribed else one
            for one in listed
        ]

    def count(self, name: bytes) -> int:
        """How many messages a mailbox has; 0 where the server does not tell."""
        with suppress(ImapRefused):
            for line in self._do(lambda imap: imap.status(_quote(name), "(MESSAGES)")):
                found = _MESSAGES.search(line if isinstance(line, bytes) else b"")
                return int(found[1]) if found else 0
        return 0

    def examine(self, name: bytes) -> tuple[int, int]:
        """Look into a mailbox: how many messages there are, and its UIDVALIDITY (0: it has none)."""
        data = self._do(lambda imap: imap.select(_quote(name), readonly=True))
        validity = self._imap.untagged_responses.get("UIDVALIDITY", [b""])[-1]
        found = _VALIDITY.search(validity or b"")
        count = data[0] if data and data[0] else b"0"
        return int(count) if count.isdigit() else 0, int(found[0]) if found else 0

    def expunged(self) -> int:
        """How many messages others have expunged here since this was asked."""
        return len([one for one in self._imap.response("EXPUNGE")[1] if one is not None])

    def describe(self, first: int, last: int) -> list[Described]:
        """The messages with these numbers, by ascending UID. What is no more, or has no UID, is left out."""
        data = self._do(lambda imap: imap.fetch(f"{first}:{last}", _FETCH_ITEMS))
        found: dict[int, Described] = {}
        for text, _ in _texts(data):
            uid, flags, date, size = (p.search(text) for p in (_UID, _FLAGS, _DATE, _SIZE))
            if uid is not None and flags is not None and date is not None:
                names = frozenset(flags[1].decode("utf-8", "replace").split())
                found[int(uid[1])] = Described(int(uid[1]), names, date[1], int(size[1]) if size else 0)
        return [found[uid] for uid in sorted(found)]

    def bodies(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The octets of messages, whole; keep them few and small. Those that the server does not give are missing."""
        numbers = ",".join(map(str, uids))
        return self._fetch_bodies(numbers, "BODY.PEEK[]")

    def pieces(self, uid: int, count: int, offset: int = 0) -> Iterator[bytes]:
        """The octets of one message from `offset` on, `count` at a time; none when the server does not give it."""
        while True:
            piece = self._fetch_bodies(str(uid), f"BODY.PEEK[]<{offset}.{count}>").get(uid, b"")
            if piece:
                yield piece
            offset += len(piece)
            if len(piece) < count:
                return

    def close(self) -> None:
        """Say goodbye."""
        with suppress(imaplib.IMAP4.error, OSError, ValueError):
            self._imap.logout()

    def _fetch_bodies(self, uids: str, item: str) -> dict[int, bytes]:
        data = self._do(lambda imap: imap.uid("FETCH", uids, f"(UID {item})"))
        found = [(_UID.search(text), body) for text, body in _texts(data)]
        return {int(uid[1]): body for uid, body in found if uid is not None and body is not None}

    def _do(self, command: Any) -> list[Any]:
        """The data of one command that the server has done."""
        with _speaking():
            self._imap.left = _MAX_ANSWER
            status, data = command(self._imap)
        if status != "OK":
            said = data[0].decode("utf-8", "replace") if data and isinstance(data[0], bytes) else status
            raise ImapRefused(_printable(said))
        return list(data)


@contextmanager
def _speaking() -> Iterator[None]:
    """Errors of what the block does in our words."""
    try:
        yield
    except (imaplib.IMAP4.abort, OSError, EOFError) as error:
        raise ImapLost(_printable(str(error)) or "the connection broke") from error
    except imaplib.IMAP4.error as error:
        raise ImapRefused(_printable(str(error)) or "it says no") from error
    except (ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
        # imaplib on answers that nobody has foreseen.
        raise ImapLost(f"an answer cannot be understood ({_printable(str(error))})") from error


def _printable(text: str) -> str:
    text = text[2:-1] if text[:2] in ("b'", 'b"') else text
    return "".join(c if c.isprintable() else "?" for c in text[:300])


def _texts(data: Sequence[Any]) -> Iterator[tuple[bytes, bytes | None]]:
    """Each FETCH answer: its text without the octets of its literal, and these."""
    at = 0
    while at < len(data):
        one = data[at]
        at += 1
        if isinstance(one, tuple):
            text, body = one[0], one[1]
            while at < len(data) and isinstance(data[at], bytes) and not data[at][:1].isdigit():
                text += b" " + data[at]  # what came behind the literal
                at += 1
            yield text, body
        elif isinstance(one, bytes):
            # A small message may come as a string.
            quoted = _QUOTED.search(one)
            if quoted is None:
                yield one, None
            else:
                yield one[: quoted.start()] + one[quoted.end() :], _unescape(quoted[1])


def _read_list(data: Sequence[Any]) -> list[Listed]:
    found = []
    for one in data:
        text = one[0] if isinstance(one, tuple) else one
        match = _LIST.match(text) if isinstance(text, bytes) else None
        if match is None:
            continue
        name = match[3].strip()
        if isinstance(one, tuple):
            name = one[1]
        elif name[:1] == b'"':
            name = _unescape(name[1 : name.rfind(b'"')])
        delimiter = b"" if match[2] == b"NIL" else match[2][-2:-1]
        attributes = frozenset(match[1].decode("ascii", "replace").lower().split())
        found.append(Listed(attributes, delimiter, name))
    return found


def _split_namespaces(text: bytes) -> list[bytes]:
    """The three lists of a NAMESPACE answer."""
    parts: list[bytes] = []
    depth = start = 0
    quoted = False
    for at, octet in enumerate(text):
        if octet == 0x22 and text[at - 1 : at] != b"\\":
            quoted = not quoted
        elif not quoted and octet == 0x28:
            depth += 1
            start = at if depth == 1 else start
        elif not quoted and octet == 0x29:
            depth -= 1
            if depth == 0:
                parts.append(text[start : at + 1])
        elif not quoted and depth == 0 and text[at : at + 3].upper() == b"NIL":
            parts.append(b"")
    return parts


def _quote(octets: bytes) -> bytes:
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _unescape(octets: bytes) -> bytes:
    return _ESCAPE.sub(rb"\1", octets)
