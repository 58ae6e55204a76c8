"""What a submitted message needs before it may travel (RFC 6409 section 8), and who may be its author.

The author fields must belong to the account: every address in From, and Sender. A missing Date and Message-ID is added;
a Sender when From names several; Bcc and Resent-Bcc are removed, so that nobody reads who was blind-copied; Return-Path
is for final delivery to write, and what only this server finds must not come from an account either, since others that
are local would believe it. A header that does not parse is refused, since a program's mistake is best seen by its
user.

Diagnostics: raises nothing; a refusal is a Reply.
"""

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.date import format_date
from mailsrv.mail.header import Header
from mailsrv.mail.mailboxes import parse_mailboxes
from mailsrv.mail.reply import Reply
from mailsrv.receive import checks
from mailsrv.receive.state import State, Transaction

_REMOVED = frozenset({b"bcc", b"resent-bcc", b"return-path"})
# Fields of the author that may stand once only (RFC 5322 section 3.6): two could mean one to us and another to a
# reader.
_ONCE = (b"from", b"sender", b"date", b"message-id")


def complete(state: State, transaction: Transaction, scanned: Header) -> bytes | Reply:
    """The message's header made complete, or why it is refused. The empty line behind it is not part of either."""
    fault = _find_fault(scanned)
    if fault:
        transaction.rules.append(("data", "header", fault, "reject"))
        return Reply(550, "5.6.0", fault)
    try:
        authors = parse_mailboxes(scanned.values(b"from")[0])
        senders = [one for value in scanned.values(b"sender") for one in parse_mailboxes(value)]
    except GrammarError as error:
        transaction.rules.append(("data", "header", str(error), "reject"))
        return Reply(550, "5.6.0", f"the From or Sender field is malformed: {error}")
    refusal = _check_authors(state, transaction, authors, senders)
    if refusal is not None:
        return refusal
    added = _added(state, transaction, scanned)
    if len(authors) > 1 and not senders:
        # RFC 5322 section 3.6.2 wants a Sender then; all authors belong to the account, so any of them is right.
        path = transaction.reverse_path
        added += f"Sender: {path if path is not None else authors[0]}\r\n".encode()
    return added + scanned.without(_REMOVED | checks.OURS, checks.spares(state))


def _find_fault(scanned: Header) -> str:
    """What is wrong with the header's form, as a sentence for the author's program; "" when nothing is."""
    line = scanned.first_fault()
    if line:
        return f"line {line} of the message is neither a header field nor the empty line behind the header"
    for name in _ONCE:
        if scanned.count(name) > 1:
            return f"the message has more than one {name.decode().title()} field"
    if not scanned.has(b"from"):
        return "the message has no From field"
    return ""


def _check_authors(
    state: State, transaction: Transaction, authors: list[Address], senders: list[Address]
) -> Reply | None:
    """Every author must belong to the account; a group without members has no author at all."""
    owns = state.house.directory.owns
    for name, addresses in (("From", authors), ("Sender", senders)):
        foreign = next((one for one in addresses if not owns(state.account, one)), None)
        if foreign is not None:
            transaction.rules.append(("data", "author", f"{name}: {foreign}", "reject"))
            return Reply(550, "5.7.1", f"the {name} address {foreign} does not belong to the authenticated account")
    if not authors:
        transaction.rules.append(("data", "author", "", "reject"))
        return Reply(550, "5.7.1", "the From field has no address of the authenticated account")
    transaction.rules.append(("data", "author", str(authors[0]), "accept"))
    return None


def _added(state: State, transaction: Transaction, scanned: Header) -> bytes:
    """Date and Message-ID where they are missing (RFC 6409 sections 8.2 and 8.3)."""
    added = b""
    if not scanned.has(b"date"):
        added += f"Date: {format_date(state.house.clock.now())}\r\n".encode()
    if not scanned.has(b"message-id"):
        added += f"Message-ID: <{transaction.id}@{state.house.config.hostname}>\r\n".encode()
    return added
