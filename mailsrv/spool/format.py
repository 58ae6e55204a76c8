"""The queue file's first line: the envelope as one JSON object, with the format's version first.

The rest of the file is the message, octet for octet. The keys stand in mailsrv-spool(5); a key that has its default is
left out. This module reads and writes octets, no files.

Diagnostics: `decode` and `decode_envelope` raise GrammarError for a version or key that they do not know and for values
that no envelope can have: such a file is not guessed at.
"""

import re
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope
from mailsrv.text.record import Codec, Records, read_json, write_json

VERSION = 1

# What `str` of an Address writes. Not the grammar of RFC 5321: what was once kept stays readable if that gets stricter.
_ADDRESS = re.compile('(?:"((?:[^"\\\\]|\\\\.)*)"|([^"@\x00-\x20\x7f]+))@([^\x00-\x20\x7f<>@,]*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NONCE = re.compile("[0-9a-f]{16}")
# A name becomes a part of a path: nothing that could lead out of the account's directory, and no dot, which Maildir++
# puts between a mailbox and those in it. store/account has the same rule (tests/crash/test_delivery.py compares them).
_MAILBOX = re.compile("[A-Za-z0-9_-]{0,64}", re.ASCII)
_NOTIFY = {"NEVER", "SUCCESS", "FAILURE", "DELAY"}


@dataclass(frozen=True, slots=True)
class Queued:
    """What the first line holds. `nonce` (64 bits) ties the journal to this file and no other of the same name."""

    envelope: Envelope
    nonce: int


def encode_envelope(envelope: Envelope, nonce: int) -> bytes:
    """The first line of a queue file, with its line feed."""
    head: dict[str, object] = {"version": VERSION, "nonce": f"{nonce:016x}"}
    return write_json(head | RECORDS.dump(envelope)) + b"\n"


def decode_envelope(line: bytes) -> Envelope:
    """The envelope of a queue file's first line (with or without its line feed)."""
    return decode(line).envelope


def decode(line: bytes) -> Queued:
    """Everything of a queue file's first line (with or without its line feed)."""
    value = read_json(line)
    if next(iter(value), "") != "version":
        raise GrammarError("the first key must be version")
    version = value.pop("version")
    if version != VERSION or isinstance(version, bool):
        raise GrammarError(f"version {version!r} is not known, only {VERSION}")
    nonce = value.pop("nonce", None)
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise GrammarError("nonce: must be 16 hexadecimal digits")
    envelope = RECORDS.load(Envelope, value)
    _check(envelope)
    return Queued(envelope, int(nonce, 16))


def _check(envelope: Envelope) -> None:
    """What types alone do not say."""
    if not envelope.recipients:
        raise GrammarError("recipients: there must be at least one")
    if envelope.size < 0 or envelope.parameters.size < 0:
        raise GrammarError("size: must not be negative")
    if not _MAILBOX.fullmatch(envelope.mailbox):
        raise GrammarError("mailbox: must be at most 64 letters, digits, - and _")
    for number, recipient in enumerate(envelope.recipients):
        notify = recipient.dsn.notify
        if not _NOTIFY.issuperset(notify) or ("NEVER" in notify and len(notify) > 1):
            place = f"recipients[{number}].dsn.notify"
            raise GrammarError(f"{place}: must be NEVER alone, or some of SUCCESS FAILURE DELAY")


def _read_address(text: str) -> Address:
    """An address as `str` wrote it."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise GrammarError("is not an address")
    quoted, plain, domain = match.groups()
    return Address(plain if quoted is None else _ESCAPED.sub(r"\1", quoted), domain)


RECORDS = Records({Address: Codec(str, _read_address)})
