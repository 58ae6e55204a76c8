"""The commands MAIL and RCPT of one transaction, and what a message needs that a server lacks.

Parameters are sent only where they are offered: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID,
NOTIFY and ORCPT (RFC 3461, RFC 6533). Domains become A-labels where the server has no SMTPUTF8, so that only local
parts and headers really need it. Nothing of a message is ever converted to suit a server: what it cannot take is
refused here.

Diagnostics: raises nothing.
"""

import re
from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, domain_to_ascii, quote_local_part
from mailsrv.mail.envelope import DsnRequest, Recipient, ReversePath
from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_capabilities import Capabilities
from mailsrv.smtp.client_events import Answer, Stage, Transaction
from mailsrv.smtp.grammar import MAX_ENVID, MAX_ORCPT

# What no server could change with another attempt. The codes are those of RFC 6531 section 4.2, RFC 3463 section 3.7
# and RFC 1870 section 6.
TOO_BIG = Reply(552, "5.3.4", "the message is bigger than the host takes")
NO_EIGHT_BIT = Reply(554, "5.6.3", "the message has 8-bit text and the host does not take it (no 8BITMIME)")
NO_UTF8_HEADER = Reply(554, "5.6.9", "the message has UTF-8 in its header and the host does not take it (no SMTPUTF8)")
NO_UTF8_SENDER = Reply(553, "5.6.7", "the reverse-path is not ASCII and the host does not take it (no SMTPUTF8)")
NO_UTF8_RECIPIENT = Reply(553, "5.6.7", "the address is not ASCII and the host does not take it (no SMTPUTF8)")
BAD_SENDER = Reply(553, "5.1.7", "the reverse-path cannot be written in a command")
BAD_RECIPIENT = Reply(553, "5.1.3", "the address cannot be written in a command")

_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")
_NOT_UNITEXT = re.compile("[^!-*,-<>-\\[\\]-~\x80-\U0010ffff]")
_NOT_ASCII_UNITEXT = re.compile(r"[^!-*,-<>-\[\]-~]")
_NOT_IN_DOMAIN = frozenset("<> ")
_NO_DSN = DsnRequest()


@dataclass(slots=True)
class Commands:
    """What is to be sent. `refused`: the recipients (by index) that must not be, with their answers. `mail_extras` and
    `rcpt_extras`: there are parameters that could be left out."""

    mail: bytes = b""
    recipients: list[tuple[int, bytes]] = field(default_factory=list)
    refused: dict[int, Answer] = field(default_factory=dict)
    mail_extras: bool = False
    rcpt_extras: bool = False


def write_commands(transaction: Transaction, capabilities: Capabilities) -> Commands:
    """Write the commands of a transaction for a server with these capabilities."""
    commands = Commands()
    offered = "SMTPUTF8" in capabilities
    utf8 = offered and _wants_utf8(transaction)
    fault = _find_need(transaction, capabilities)
    if fault is None:
        try:
            path = _write_path(transaction.reverse_path, utf8)
        except GrammarError:
            fault = BAD_SENDER
    if fault is not None:
        commands.refused = {i: Answer(fault, Stage.NEEDS, by_peer=False) for i in range(len(transaction.recipients))}
        return commands
    _write_mail(commands, path, transaction, capabilities, utf8)
    dsn = "DSN" in capabilities
    for index, recipient in enumerate(transaction.recipients):
        refusal = None
        if not offered and not recipient.address.local_part.isascii():
            refusal = NO_UTF8_RECIPIENT
        else:
            try:
                path = _write_path(recipient.address, utf8)
            except GrammarError:
                refusal = BAD_RECIPIENT
        if refusal is not None:
            commands.refused[index] = Answer(refusal, Stage.NEEDS, by_peer=False)
            continue
        parameters = _dsn_parameters(recipient, utf8) if dsn and recipient.dsn != _NO_DSN else ""
        commands.rcpt_extras |= bool(parameters)
        commands.recipients.append((index, f"RCPT TO:<{path}>{parameters}\r\n".encode()))
    return commands


def _wants_utf8(transaction: Transaction) -> bool:
    """Whether SMTPUTF8 is to be asked for where it is offered."""
    path = transaction.reverse_path
    return (
        transaction.parameters.smtputf8
        or transaction.utf8_header
        or (path is not None and not path.local_part.isascii())
        or not all(recipient.address.local_part.isascii() for recipient in transaction.recipients)
    )


def _find_need(transaction: Transaction, capabilities: Capabilities) -> Reply | None:
    """What the whole message needs and the server lacks."""
    if transaction.size > capabilities.size > 0:
        return TOO_BIG
    if "SMTPUTF8" not in capabilities:
        path = transaction.reverse_path
        if transaction.utf8_header:
            return NO_UTF8_HEADER
        if path is not None and not path.local_part.isascii():
            return NO_UTF8_SENDER
        # SMTPUTF8 includes 8BITMIME (RFC 6531 section 3.1), whether or not the server says both.
        if transaction.eight_bit and "8BITMIME" not in capabilities:
            return NO_EIGHT_BIT
    return None


def _write_mail(
    commands: Commands, path: str, transaction: Transaction, capabilities: Capabilities, utf8: bool
) -> None:
    parameters = transaction.parameters
    words = [f"MAIL FROM:<{path}>"]
    if "SIZE" in capabilities:
        words.append(f"SIZE={transaction.size}")
    if "DSN" in capabilities:
        if parameters.ret:
            words.append(f"RET={parameters.ret}")
        envid = _write_xtext(parameters.envid)
        if envid and len(envid) <= MAX_ENVID:
            words.append(f"ENVID={envid}")
    commands.mail_extras = len(words) > 1
    eight_bit = transaction.eight_bit or transaction.utf8_header or parameters.body == "8BITMIME"
    if eight_bit and "8BITMIME" in capabilities:
        words.append("BODY=8BITMIME")
    if utf8:
        words.append("SMTPUTF8")
    commands.mail = (" ".join(words) + "\r\n").encode()


def _write_path(address: ReversePath, utf8: bool) -> str:
    """The inside of a path. Raises GrammarError when a command cannot hold it, or could hold more than it."""
    if address is None:
        return ""
    path = _write_address(address, utf8)
    # A line end here would begin another command, a bracket another parameter. Parsed addresses have none of them.
    if not path.isprintable() or not _NOT_IN_DOMAIN.isdisjoint(address.domain):
        raise GrammarError("the address has characters that no address has")
    return path


def _write_address(address: Address, utf8: bool) -> str:
    if address.domain == "":  # <Postmaster>, RFC 5321 section 4.1.1.3
        return quote_local_part(address.local_part)
    if utf8 or address.domain.isascii():
        return str(address)
    return f"{quote_local_part(address.local_part)}@{domain_to_ascii(address.domain)}"


def _dsn_parameters(recipient: Recipient, utf8: bool) -> str:
    notify, orcpt = recipient.dsn.notify, _write_orcpt(recipient.dsn.orcpt, utf8)
    return (f" NOTIFY={','.join(notify)}" if notify else "") + (f" ORCPT={orcpt}" if orcpt else "")


def _write_orcpt(orcpt: str, utf8: bool) -> str:
    """ORCPT's value of `type;address`; "" when there is none or none that can be written."""
    address_type, _, address = orcpt.partition(";")
    if address_type.lower() == "utf-8":
        pattern = _NOT_UNITEXT if utf8 else _NOT_ASCII_UNITEXT
        encoded = pattern.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", address)
    else:
        encoded = _write_xtext(address)
    value = f"{address_type};{encoded}"
    return value if encoded and len(value.encode()) <= MAX_ORCPT else ""


def _write_xtext(text: str) -> str:
    """Encode as xtext (RFC 3461 section 4); "" for what has no place there."""
    if not text.isascii():
        return ""
    return _NOT_XTEXT.sub(lambda match: f"+{ord(match[0]):02X}", text)
