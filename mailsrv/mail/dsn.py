"""Delivery status notifications: one report as octets (RFC 3464 in a multipart/report of RFC 6522, RFC 6533 for UTF-8).

Three parts: words for people (handed in, see deliver/templates), fields for programs, and the original's header or all
of it. Whatever the original was, the report travels as 7-bit text: addresses beyond ASCII make it
message/global-delivery-status, which unlike its elder may be encoded, and a header beyond ASCII message/global-headers.
Two exceptions, where the caller must ask the next hop for more: a whole message returned with 8-bit octets
(8BITMIME), and a sender whose own address is beyond ASCII (SMTPUTF8). Nothing is decided here about who gets a report,
and nothing is drawn or looked up: time, boundary and Message-ID come from the caller.

Diagnostics: raises nothing; what a field cannot hold is replaced or left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mailsrv.mail import dsn_words
from mailsrv.mail.address import Address
from mailsrv.mail.date import format_date
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.header import Header, scan, unfold
from mailsrv.mail.outcome import Outcome, Status

MAX_DIAGNOSTIC = 2000  # characters of a reply in a report

_STATUS = re.compile(r"[245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})")
_REPLY = re.compile("[2-5][0-9][0-9](?:[ -]|$)")
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f.:IPv]+\]")
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,300}>")
_LONG_LINE = re.compile(rb"[^\r\n]{999}")
# Which classes an action may have (RFC 3464 section 2.3.3: 4 for `failed` means that the attempts were given up), and
# what stands there when the outcome has no such code (RFC 3461 section 6.3 g).
_CLASSES = {Status.FAILED: "54", Status.DELAYED: "4"}


class Kind(Enum):
    """What a report is about; the word heads its texts."""

    FAILED = "failed"
    DELAYED = "delayed"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class Original:
    """What is returned: the header without the empty line behind it, or, unless None, the whole message."""

    header: bytes
    message: bytes | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """The words: display name of the author, subject, and text with line feeds; `languages` as tags of RFC 5646."""

    author: str
    subject: str
    text: str
    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True, slots=True)
class Imprint:
    """Who reports and when. `moment` and `retry_until` in seconds since the epoch, the latter 0 unless more attempts
    follow; `boundary` must be unpredictable, else a returned message could end its part."""

    hostname: str
    author: Address
    message_id: str
    moment: float
    boundary: str
    retry_until: float = 0.0


def build_report(
    envelope: Envelope, outcomes: Sequence[Outcome], original: Original, letter: Letter, imprint: Imprint
) -> bytes:
    """A complete message with CRLF line ends about these outcomes. The envelope's reverse-path, to which it goes, must
    not be null."""
    header = scan(original.header + b"\r\n", True)
    assert header is not None  # an empty line ends it
    parts = (_words_part(letter), _status_part(envelope, outcomes, imprint), _returned_part(original))
    edge = f"--{imprint.boundary}".encode()
    body = b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"
    encoding = b"" if body.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return _header(envelope, header, letter, imprint) + encoding + b"\r\n" + body


def named(recipient: Recipient) -> Address:
    """The address by which the sender knows a recipient: an alias's own, never what stands behind it (RFC 3464
    sections 2.3.2 and 4.2)."""
    return recipient.original or recipient.address


def clean_status(outcome: Outcome) -> str:
    """The outcome's enhanced status code, or the plainest one of its kind where it has none that fits."""
    classes = _CLASSES.get(outcome.status, "2")
    return outcome.dsn if _STATUS.fullmatch(outcome.dsn) and outcome.dsn[0] in classes else f"{classes[0]}.0.0"


def is_reply(text: str) -> bool:
    """Whether a text begins as an SMTP reply does: a host said it, not we about the host."""
    return _REPLY.match(text) is not None


def is_returnable(message: bytes, header: bytes) -> bool:
    """Whether a whole message can be part of a report as it is: lines within RFC 5322 section 2.1.1, and a header
    whose octets mean something. Of others the header is returned, encoded."""
    return (header.isascii() or _is_utf8(header)) and not _LONG_LINE.search(message)


def _header(envelope: Envelope, original: Header, letter: Letter, imprint: Imprint) -> bytes:
    """The report's own header."""
    author = dsn_words.encode_phrase(letter.author)
    room = dsn_words.LINE - len("From:  <>") - len(author) - len(str(imprint.author))
    fields = [
        f"From: {author}{' ' if room >= 0 else dsn_words.FOLD}<{imprint.author}>\r\n".encode(),
        f"To: <{envelope.reverse_path}>\r\n".encode(),
        dsn_words.encode_text("Subject", letter.subject),
        f"Date: {format_date(imprint.moment)}\r\n".encode(),
        f"Message-ID: <{imprint.message_id}>\r\n".encode(),
        *_thread(original),
        b"Auto-Submitted: auto-replied\r\n",  # RFC 3834 section 5
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n"
        + f'\tboundary="{imprint.boundary}"\r\n'.encode(),
    ]
    return b"".join(fields)


def _thread(original: Header) -> list[bytes]:
    """Where the report belongs in the sender's mail program: below the message (RFC 5322 section 3.6.4)."""
    identifiers = original.values(b"message-id")
    if len(identifiers) != 1 or not _MESSAGE_ID.fullmatch(unfold(identifiers[0])):
        return []
    identifier = unfold(identifiers[0])
    return [b"In-Reply-To: " + identifier + b"\r\n", b"References: " + identifier + b"\r\n"]


def _part(kind: str, octets: bytes, encoding: str = "7bit") -> bytes:
    """One body part; quoted-printable and base64 are applied here."""
    if encoding == "quoted-printable":
        octets = dsn_words.quoted_printable(octets)
    elif encoding == "base64":
        octets = dsn_words.base64_lines(octets)
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + octets


def _words_part(letter: Letter) -> bytes:
    text = letter.text.replace("\r\n", "\n").rstrip("\n").replace("\n", "\r\n") + "\r\n"
    octets = text.encode("utf-8", "replace")
    plain = octets.isascii() and not _LONG_LINE.search(octets)
    kind = f"text/plain; charset=utf-8\r\nContent-Language: {', '.join(letter.languages)}"
    return _part(kind, octets, "7bit" if plain else "quoted-printable")


def _status_part(envelope: Envelope, outcomes: Sequence[Outcome], imprint: Imprint) -> bytes:
    """RFC 3464 section 2.1, as message/global-delivery-status where an address needs UTF-8 (RFC 6533 section 4.1)."""
    utf8 = any(_needs_utf8(envelope.recipients[outcome.recipient]) for outcome in outcomes)
    groups = [_message_fields(envelope, imprint)]
    groups += [_recipient_fields(envelope, outcome, imprint, utf8) for outcome in outcomes]
    octets = b"\r\n".join(groups)
    if utf8:
        return _part("message/global-delivery-status", octets, "quoted-printable")
    return _part("message/delivery-status", octets)


def _needs_utf8(recipient: Recipient) -> bool:
    return not (recipient.dsn.orcpt.isascii() and named(recipient).is_ascii)


def _message_fields(envelope: Envelope, imprint: Imprint) -> bytes:
    """RFC 3464 section 2.2."""
    fields = []
    if envelope.parameters.envid:
        # Preserved as it was (section 2.2.1); it is short enough to need no fold.
        fields.append(f"Original-Envelope-Id: {_exact(envelope.parameters.envid, False)}\r\n".encode())
    fields.append(f"Reporting-MTA: dns; {imprint.hostname}\r\n".encode())
    fields.append(f"Arrival-Date: {format_date(envelope.received)}\r\n".encode())
    fields.append(f"X-Mailsrv-Queue-ID: {envelope.id}\r\n".encode())
    return b"".join(fields)


def _recipient_fields(envelope: Envelope, outcome: Outcome, imprint: Imprint, utf8: bool) -> bytes:
    """RFC 3464 section 2.3, in the order of its grammar."""
    recipient = envelope.recipients[outcome.recipient]
    address = named(recipient)
    fields = []
    if recipient.dsn.orcpt:
        kind, _, text = recipient.dsn.orcpt.partition(";")
        fields.append(f"Original-Recipient: {_exact(kind, False)}; {_exact(text, utf8)}\r\n".encode())
    kind = "rfc822" if address.is_ascii else "utf-8"
    fields.append(f"Final-Recipient: {kind}; {_exact(str(address), utf8)}\r\n".encode())
    fields.append(f"Action: {outcome.status.value}\r\nStatus: {clean_status(outcome)}\r\n".encode())
    host = outcome.host.split(" ", 1)[0]
    if host:
        # A unix socket has no name in the DNS (RFC 3461 section 6.3 b).
        kind = "dns" if _HOST.fullmatch(host) else "x-local-hostname"
        fields.append(f"Remote-MTA: {kind}; {dsn_words.to_ascii(dsn_words.clean(host, 255))}\r\n".encode())
    fields.append(_diagnostic(outcome, utf8))
    if outcome.at:
        fields.append(f"Last-Attempt-Date: {format_date(outcome.at)}\r\n".encode())
    if outcome.status is Status.DELAYED and imprint.retry_until:
        fields.append(f"Will-Retry-Until: {format_date(imprint.retry_until)}\r\n".encode())
    return b"".join(fields)


def _diagnostic(outcome: Outcome, utf8: bool) -> bytes:
    """What was answered (RFC 3461 section 9.2): `smtp` for a host's reply, a type of our own for what we found."""
    lines = dsn_words.clean_lines(outcome.reply, MAX_DIAGNOSTIC)
    if not lines:
        return b""
    if not utf8:
        lines = [dsn_words.to_ascii(line) for line in lines]
    kind = "smtp" if outcome.host and is_reply(lines[0]) else "x-mailsrv"
    return dsn_words.field("Diagnostic-Code", [f"{kind}; {lines[0]}", *lines[1:]])


def _exact(text: str, utf8: bool) -> str:
    """Text that programs compare: only what would break the field is replaced."""
    text = dsn_words.clean(text, 600)
    return text if utf8 else dsn_words.to_ascii(text)


def _returned_part(original: Original) -> bytes:
    """The third part (RFC 6522 section 3, RFC 6533 sections 4.2 and 4.3)."""
    message, header = original.message, original.header
    utf8 = not header.isascii() and _is_utf8(header)
    if message is not None and is_returnable(message, header):
        if utf8:
            return _part("message/global", message, "base64")
        # RFC 2046 section 5.2.1 forbids to encode a message/rfc822.
        return _part("message/rfc822", message, "7bit" if message.isascii() else "8bit")
    kind = "message/global-headers" if utf8 else "text/rfc822-headers"
    plain = header.isascii() and not _LONG_LINE.search(header)
    return _part(kind, header, "7bit" if plain else "quoted-printable")


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
