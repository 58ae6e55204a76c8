"""The door of imaplib: an IMAP connection to another server, from which messages are read and nothing is changed.

The standard library's client has the protocol; here are only its bounds and the few commands of an import: LIST,
EXAMINE, FETCH. No message is ever marked, moved or removed there. What a server may make us keep is bounded for each
command. RFC 3501 is what every server speaks; RFC 6154 and 5258 where it says so.

Diagnostics: ImapLost when there is no connection (any more), and its kind ImapNonsense when the server says what is no
IMAP, or too much; ImapRefused when it says NO or BAD. The texts are clauses. No OSError and no error of imaplib leaves.
"""

import imaplib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mailsrv.errors import MailsrvError
from mailsrv.system.tls import client_context

PORTS = {"tls": 993, "starttls": 143, "plain": 143}

MAX_MAILBOXES = 10_000

_MAX_ANSWER = 64 << 20  # octets of what one command makes the server say
_MAX_TEXT = 16 << 20  # the same where no messages are asked for
_MAX_GREETING = 1 << 20  # and for all until somebody is logged in
_LINE = 256  # octets that a line counts as beside its own: it takes them in memory
_FETCH_ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE)"
_UID = re.compile(rb"\bUID (\d+)\b")
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]*)"')
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)\b")
_MESSAGES = re.compile(rb"\(MESSAGES (\d+)\)")
_NUMBER = re.compile(rb"\d{1,10}")  # RFC 3501 section 9
_NUMBER64 = re.compile(rb"\d{1,19}")  # RFC 9051 section 9
_LIST = re.compile(rb'\(([^()]*)\) (NIL|"\\?.") (.*)', re.DOTALL)
_NAMESPACE = re.compile(rb'\("((?:[^"\\]|\\.)*)" (?:NIL|"\\?(.)")')
_QUOTED = re.compile(rb'BODY\[\](?:<\d+>)? "((?:[^"\\]|\\.)*)"')
# The announcement of a literal with a number that imaplib better does not read: Python refuses more than 4300 digits.
_HUGE = re.compile(rb"\{\d{20,}\}\r\n\Z")
_ESCAPE = re.compile(rb"\\(.)")


class ImapLost(MailsrvError):
    """No connection, or it broke, or the server makes no sense."""


class ImapNonsense(ImapLost):
    """What the server says is no IMAP, or too much: over another connection it would be the same."""


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

    left = _MAX_GREETING

    def read(self, size: int) -> bytes:
        self._count(size)
        octets: bytes = super().read(size)  # type: ignore[misc]
        return octets

    def readline(self) -> bytes:
        try:
            octets: bytes = super().readline()  # type: ignore[misc]
        except imaplib.IMAP4.error as error:  # a line without end, of which the rest would be read as the next one
            raise ImapNonsense("it sends a line that does not end") from error
        self._count(len(octets) + _LINE)
        if octets.endswith(b"}\r\n") and _HUGE.search(octets):
            raise ImapNonsense("it announces more than there can be")
        return octets

    def _count(self, octets: int) -> None:
        self.left -= octets
        if self.left < 0:
            raise ImapNonsense("it sends more than an answer may have")  # or than all before the login


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
        self._expunged = 0
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
                self._imap.authenticate("PLAIN", _once(f"\0{account}\0{password}".encode()))
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
            for part in _split_namespaces(_first(data))
        ]

    def list_mailboxes(self) -> list[Listed]:
        """Every mailbox, with its special use where the server tells. Raises ImapRefused for very many."""
        capabilities = self._imap.capabilities
        options = [word for word in ("SPECIAL-USE", "SUBSCRIBED") if word in capabilities or word == "SUBSCRIBED"]
        more = f" RETURN ({' '.join(options)})" if "LIST-EXTENDED" in capabilities else ""
        listed = _read_list(self._do(lambda imap: imap.list('""', f'"*"{more}')))
        if len(listed) > MAX_MAILBOXES:
            raise ImapRefused(f"it has more than {MAX_MAILBOXES} mailboxes")
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
            found = _MESSAGES.search(_first(self._do(lambda imap: imap.status(_quote(name), "(MESSAGES)"))))
            return _number(found[1]) if found else 0
        return 0

    def examine(self, name: bytes) -> tuple[int, int]:
        """Look into a mailbox: how many messages there are, and its UIDVALIDITY (0: it has none)."""
        count = _first(self._do(lambda imap: imap.select(_quote(name), readonly=True)))
        validity = _first(self._imap.untagged_responses.get("UIDVALIDITY", [])[-1:])
        self._expunged = 0
        return _number(count or b"0"), _number(validity.strip() or b"0")

    def expunged(self) -> int:
        """How many messages others have expunged here since this was asked, or the mailbox looked into."""
        expunged, self._expunged = self._expunged, 0
        return expunged

    def describe(self, first: int, last: int) -> list[Described]:
        """The messages with these numbers, by ascending UID. What is no more, or has no UID, is left out."""
        data = self._do(lambda imap: imap.fetch(f"{first}:{last}", _FETCH_ITEMS))
        found: dict[int, Described] = {}
        for text, _ in _texts(data):
            uid, flags, date, size = (p.search(text) for p in (_UID, _FLAGS, _DATE, _SIZE))
            if uid is not None and flags is not None and date is not None:
                names = frozenset(flags[1].decode("utf-8", "replace").split())
                number = _number(uid[1])
                found[number] = Described(number, names, date[1], _number(size[1], _NUMBER64) if size else 0)
        return [found[uid] for uid in sorted(found)]

    def bodies(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The octets of messages, whole; keep them few and small. Those that the server does not give are missing."""
        numbers = ",".join(map(str, uids))
        return self._fetch_bodies(numbers, "BODY.PEEK[]")

    def pieces(self, uid: int, count: int, offset: int = 0) -> Iterator[bytes]:
        """The octets of one message from `offset` on, `count` at a time; none when the server does not give it."""
        while True:
            piece = self._fetch_bodies(str(uid), f"BODY.PEEK[]<{offset}.{count}>").get(uid, b"")
            if len(piece) > count:
                raise ImapNonsense(f"it sends {len(piece)} octets where {count} were asked for")
            if piece:
                yield piece
            offset += len(piece)
            if len(piece) < count:
                return

    def close(self) -> None:
        """Say goodbye."""
        with suppress(ImapLost, ImapRefused), _speaking():
            self._imap.left = _MAX_GREETING
            self._imap.logout()
        with suppress(OSError):
            self._imap.shutdown()

    def _fetch_bodies(self, uids: str, item: str) -> dict[int, bytes]:
        data = self._do(lambda imap: imap.uid("FETCH", uids, f"(UID {item})"), _MAX_ANSWER)
        found = [(_UID.search(text), body) for text, body in _texts(data)]
        return {_number(uid[1]): body for uid, body in found if uid is not None and body is not None}

    def _do(self, command: Any, most: int = _MAX_TEXT) -> list[Any]:
        """The data of one command that the server has done, with at most so many octets."""
        with _speaking():
            # What nobody asked for would be kept as long as the connection; but a BYE counts.
            kept = self._imap.untagged_responses
            self._imap.untagged_responses = {"BYE": kept["BYE"]} if "BYE" in kept else {}
            self._imap.left = most
            status, data = command(self._imap)
            self._expunged += len(self._imap.untagged_responses.get("EXPUNGE", ()))
        if status != "OK":
            said = data[0].decode("utf-8", "replace") if data and isinstance(data[0], bytes) else status
            raise ImapRefused(_printable(said))
        return list(data)


def _once(response: bytes) -> Callable[[bytes], bytes]:
    """What answers the one challenge that there is; imaplib would answer as many as come."""
    left = [response]

    def answer(_: bytes) -> bytes:
        if not left:
            raise ImapNonsense("it goes on asking for the password")
        return left.pop()

    return answer


@contextmanager
def _speaking() -> Iterator[None]:
    """Errors of what the block does in our words."""
    try:
        yield
    except (imaplib.IMAP4.abort, OSError, EOFError) as error:
        raise ImapLost(_printable(str(error)) or "the connection broke") from error
    except imaplib.IMAP4.error as error:
        raise ImapRefused(_printable(str(error)) or "it says no") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as error:
        # imaplib on answers that nobody has foreseen.
        raise ImapNonsense(f"an answer cannot be understood ({_printable(str(error))})") from error


def _printable(text: str) -> str:
    text = text[2:-1] if text[:2] in ("b'", 'b"') else text
    return "".join(c if c.isprintable() else "?" for c in text[:300])


def _first(data: Sequence[Any]) -> bytes:
    """The text of an answer; empty when there is none, or a literal in it."""
    return data[0] if data and isinstance(data[0], bytes) else b""


def _number(digits: bytes, form: re.Pattern[bytes] = _NUMBER) -> int:
    """A number of the protocol, bounded before it is read."""
    if not form.fullmatch(digits):
        raise ImapNonsense(f"it sends what is no number: {_printable(digits[:30].decode('ascii', 'replace'))}")
    return int(digits)


def _texts(data: Sequence[Any]) -> Iterator[tuple[bytes, bytes | None]]:
    """Each FETCH answer: its text without the octets of its literal, and these."""
    at = 0
    while at < len(data):
        one = data[at]
        at += 1
        if isinstance(one, tuple):
            parts, body = [one[0]], one[1]
            while at < len(data) and isinstance(data[at], bytes) and not data[at][:1].isdigit():
                parts.append(data[at])  # what came behind the literal
                at += 1
            yield b" ".join(parts), body
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
