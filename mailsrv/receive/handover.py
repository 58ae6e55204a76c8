"""A message of a local program made ready for the queue: envelope, recipients, and the header completed.

Local programs are trusted to be on this machine and nothing more: who sent the message stands in its Received field.
Missing From, Date and Message-ID are added, Bcc and Return-Path go (RFC 6409 section 8, RFC 5322 section 3.6.3). Text
without a header is a message all the same. Addresses without a domain belong to this server.

Diagnostics: `Handover.make` raises GrammarError for addresses that are none, for no or too many recipients, and for a
header that has no end; NoSuchUser when it is asked to check recipients.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailsrv.config.schema import Config
from mailsrv.errors import GrammarError, MailsrvError
from mailsrv.mail import header
from mailsrv.mail.address import Address, domain_key, parse_address
from mailsrv.mail.date import format_date
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient, ReversePath
from mailsrv.mail.header import Header
from mailsrv.mail.trace import received_beginning, received_field
from mailsrv.spool.drop import Request
from mailsrv.spool.queueid import time_of
from mailsrv.system.scratch import Octets, Scratch

if TYPE_CHECKING:
    # Only its form: with it would come TLS, and sendmail(8) has to start fast.
    from mailsrv.receive.house import Directory

HEADER_LIMIT = 1 << 20  # octets
_FIRST_LOOK = 1 << 14
_REMOVED = frozenset({b"bcc", b"resent-bcc", b"return-path"})
_NOTIFY = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})
_RETS = ("", "FULL", "HDRS")
_WORD = 42  # octets of UTF-8 in one encoded word, which has at most 75 characters (RFC 2047 section 2)


class NoSuchUser(MailsrvError):
    """An address in one of our domains that nobody has."""


@dataclass(frozen=True, slots=True)
class User:
    """Who hands a message over: number, login name, and full name ("" when unknown)."""

    uid: int
    name: str
    full_name: str = ""


class Handover:
    """For one configuration; any number of threads may use it."""

    def __init__(self, config: Config, directory: "Directory") -> None:
        self._config = config
        self._directory = directory
        own = domain_key(config.hostname)
        domains = [domain_key(domain) for domain in config.domains]
        #: The domain of addresses that have none.
        self.origin = config.hostname if own in domains or not domains else config.domains[0]

    def make(
        self, identifier: str, request: Request, user: User, scratch: Scratch, check: bool = False
    ) -> tuple[Envelope, Octets]:
        """Envelope and octets of the message in `scratch`, to be queued under this ID. With `check` unknown users of
        ours are an error; without it they are left to the runner, which returns the message."""
        sender = self._sender(request, user)
        recipients = self._recipients(request, check)
        octets = self._complete(identifier, scratch, request, (user, recipients))
        smtputf8 = not all(one.address.is_ascii for one in recipients) or not (sender is None or sender.is_ascii)
        parameters = MailParameters(smtputf8=smtputf8, ret=request.ret, envid=request.envid)
        return Envelope(
            identifier, time_of(identifier), sender, recipients, parameters, client="local", size=octets.size
        ), octets

    def _sender(self, request: Request, user: User) -> ReversePath:
        if request.sender == "<>":
            return None
        return self._address(request.sender) if request.sender else Address(user.name, self.origin)

    def _address(self, text: str) -> Address:
        """`user` stands for the one of this server."""
        text = text.strip()
        return parse_address(text if "@" in text else f"{text}@{self.origin}")

    def _recipients(self, request: Request, check: bool) -> tuple[Recipient, ...]:
        notify = request.notify
        if not _NOTIFY.issuperset(notify) or ("NEVER" in notify and len(notify) > 1) or request.ret not in _RETS:
            raise GrammarError("what is asked for about reports cannot be asked for")
        if not request.recipients:
            raise GrammarError("there is no recipient")
        dsn = DsnRequest(notify)
        found: dict[str, Recipient] = {}
        for text in request.recipients:
            address = self._address(text)
            expansion = self._directory.expand(address)
            if check and expansion.local and not expansion.found:
                raise NoSuchUser(f"{address}: no such user here")
            if not expansion.found:
                found.setdefault(address.key, Recipient(address, dsn))
            for name in expansion.accounts:
                found.setdefault(name, self._of_account(name, address, dsn))
            for remote in expansion.remote:
                found.setdefault(remote.key, Recipient(remote, dsn, address))
        if len(request.recipients) > self._config.limits.recipients:
            raise GrammarError(f"there are more than {self._config.limits.recipients} recipients (limits.recipients)")
        return tuple(found.values())

    def _of_account(self, name: str, address: Address, dsn: DsnRequest) -> Recipient:
        if self._directory.owns(name, address):
            return Recipient(address, dsn, None, name)
        account = self._directory.account(name)
        return Recipient(account.addresses[0] if account and account.addresses else address, dsn, address, name)

    def _complete(
        self, identifier: str, scratch: Scratch, request: Request, parties: tuple[User, Sequence[Recipient]]
    ) -> Octets:
        """The message with our Received field and a whole header on top."""
        user, recipients = parties
        scanned = _scan(scratch)
        text, skip, gap = scanned.octets, len(scanned.octets), b""
        if fault := scanned.first_fault():
            # The header ends before the first line that cannot be in it.
            lines = text.split(b"\r\n")[: fault - 1]
            text = b"".join(line + b"\r\n" for line in lines)
            skip, gap = len(text), b"\r\n"
        elif scanned.length == len(scanned.octets):
            gap = b"\r\n"  # a header alone
        moment = time_of(identifier)
        only = recipients[0] if len(recipients) == 1 else None
        trace = received_field(
            received_beginning(["localhost", f"(uid {user.uid})"], self._config.hostname, "local", ""), identifier,
            only.original or only.address if only else None, False, format_date(moment),
        )  # fmt: skip
        kept = header.scan(text + b"\r\n", True)
        assert kept is not None
        if text and not text.endswith(b"\r\n"):
            gap = b"\r\n" + gap
        added = self._added(identifier, kept, request, user)
        return Octets(trace + added + kept.without(_REMOVED) + gap, scratch, skip)

    def _added(self, identifier: str, scanned: Header, request: Request, user: User) -> bytes:
        added = b""
        if not scanned.has(b"from"):
            sender = self._sender(request, user) or Address(user.name, self.origin)
            added += b"From: " + _mailbox(request.full_name or user.full_name, sender) + b"\r\n"
        if not scanned.has(b"date"):
            added += f"Date: {format_date(time_of(identifier))}\r\n".encode()
        if not scanned.has(b"message-id"):
            added += f"Message-ID: <{identifier}@{self._config.hostname}>\r\n".encode()
        return added


def _scan(scratch: Scratch) -> Header:
    for limit in (_FIRST_LOOK, HEADER_LIMIT):
        head = scratch.head(limit)
        scanned = header.scan(head, scratch.size <= len(head))
        if scanned is not None:
            return scanned
    # No empty line within the limit: text without a header, unless it looks like one.
    scanned = header.scan(scratch.head(_FIRST_LOOK).rpartition(b"\r\n")[0] + b"\r\n", True)
    if scanned is None or not scanned.first_fault():
        raise GrammarError(f"the header has no end within {HEADER_LIMIT} octets")
    return scanned


def _mailbox(full_name: str, address: Address) -> bytes:
    """`"Full Name" <address>`, the name encoded where it is not ASCII (RFC 2047 section 5)."""
    name = "".join(character for character in full_name if character.isprintable()).strip()
    if not name:
        return str(address).encode()
    if name.isascii():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{address}>'.encode()
    words, part = [], ""
    for character in name:
        if len((part + character).encode()) > _WORD:
            words.append(part)
            part = ""
        part += character
    encoded = (f"=?utf-8?b?{b64encode(word.encode()).decode()}?=" for word in (*words, part))
    return ("\r\n ".join(encoded) + f" <{address}>").encode()

